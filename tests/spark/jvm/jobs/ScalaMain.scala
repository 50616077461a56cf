package jobs

import org.apache.spark.sql.SparkSession

/** An object with main. */
object ScalaMain {
  def main(args: Array[String]): Unit = {
    val spark = SparkSession.builder.getOrCreate()
    println(args.mkString("[", "|", "]") + spark.range(args.length).count())
  }
}
