package spark.jobserver

import com.typesafe.config.Config
import org.apache.spark.SparkContext
import org.apache.spark.sql.SparkSession
import org.scalactic.{Bad, Every, Good, One, Or}
import spark.jobserver.api.{JobEnvironment, ValidationProblem}
import spark.jobserver.context.SparkSessionContextLikeWrapper

/** Stand-ins for the older job traits, by their published signatures: they stand on the newer ones. */
trait NamedObjects

sealed trait SparkJobValidation
case object SparkJobValid extends SparkJobValidation
case class SparkJobInvalid(reason: String) extends SparkJobValidation with ValidationProblem

trait SparkJobBase extends api.SparkJobBase {
  type JobOutput = Any
  type JobData = Config

  var namedObjects: NamedObjects = _

  def runJob(sc: C, runtime: JobEnvironment, data: JobData): JobOutput = runJob(sc, data)

  def validate(sc: C, runtime: JobEnvironment, config: Config): JobData Or Every[ValidationProblem] = {
    namedObjects = runtime.namedObjects
    validate(sc, config) match {
      case SparkJobValid      => Good(config)
      case x: SparkJobInvalid => Bad(One(x))
    }
  }

  def runJob(sc: C, jobConfig: Config): Any
  def validate(sc: C, config: Config): SparkJobValidation
}

trait SparkJob extends SparkJobBase {
  type C = SparkContext
}

trait SparkSessionJob extends api.SparkJobBase {
  type C = SparkSessionContextLikeWrapper

  def runJob(spark: SparkSession, runtime: JobEnvironment, data: JobData): JobOutput
  override def runJob(sc: C, runtime: JobEnvironment, data: JobData): JobOutput = runJob(sc.spark, runtime, data)

  def validate(spark: SparkSession, runtime: JobEnvironment, config: Config): JobData Or Every[ValidationProblem]
  override def validate(sc: C, runtime: JobEnvironment, config: Config): JobData Or Every[ValidationProblem] =
    validate(sc.spark, runtime, config)
}

package context {
  class SparkSessionContextLikeWrapper(val spark: SparkSession)
}
