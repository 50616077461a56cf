package spark.jobserver

import com.typesafe.config.Config
import org.apache.spark.SparkContext

import scala.util.Try

/** What the API's document runs. */
object WordCountExample extends SparkJob {
  override def validate(sc: SparkContext, config: Config): SparkJobValidation =
    Try(config.getString("input.string"))
      .map(_ => SparkJobValid: SparkJobValidation)
      .getOrElse(SparkJobInvalid("No input.string config param"))

  override def runJob(sc: SparkContext, config: Config): Any =
    sc.parallelize(config.getString("input.string").split(" ").toSeq).countByValue
}

/** The same as a class, with a name that says so. */
class WordCountClass extends SparkJob {
  override def validate(sc: SparkContext, config: Config): SparkJobValidation = SparkJobValid
  override def runJob(sc: SparkContext, config: Config): Any =
    sc.parallelize(config.getString("input.string").split(" ").toSeq).map((_, 1)).reduceByKey(_ + _).collect().toMap
}
