package spark.jobserver.japi

import com.typesafe.config.Config
import org.apache.spark.api.java.JavaSparkContext
import org.apache.spark.sql.SparkSession
import spark.jobserver.api.JobEnvironment

/** Stand-ins for the traits of Java jobs, by their published signatures. */
trait BaseJavaJob[D, R, CX] {
  def run(sc: CX, runtime: JobEnvironment, data: D): R
  def verify(sc: CX, runtime: JobEnvironment, config: Config): D
}

trait JSparkJob[D, R] extends BaseJavaJob[D, R, JavaSparkContext]

trait JSessionJob[D, R] extends BaseJavaJob[D, R, SparkSession]
