package spark.jobserver.api

import com.typesafe.config.Config
import org.apache.spark.SparkContext
import org.scalactic.{Every, Or}
import spark.jobserver.NamedObjects

/** Stand-ins for the newer job traits, by their published signatures. */
trait JobEnvironment {
  def jobId: String
  def namedObjects: NamedObjects
  def contextConfig: Config
}

trait ValidationProblem

case class SingleProblem(problem: String) extends ValidationProblem

trait SparkJobBase {
  type C
  type JobData
  type JobOutput

  def runJob(sc: C, runtime: JobEnvironment, data: JobData): JobOutput
  def validate(sc: C, runtime: JobEnvironment, config: Config): JobData Or Every[ValidationProblem]
}

trait SparkJob extends SparkJobBase {
  type C = SparkContext
}
