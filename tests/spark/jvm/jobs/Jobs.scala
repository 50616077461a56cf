package jobs

import com.typesafe.config.Config
import org.apache.spark.SparkContext
import org.apache.spark.sql.SparkSession
import org.scalactic.{Bad, Every, Good, Many, One, Or}
import spark.jobserver.api.{JobEnvironment, SingleProblem, SparkJob, ValidationProblem}
import spark.jobserver.SparkSessionJob

import scala.collection.JavaConverters._

case class Words(list: Seq[String])
case class Word(text: String, count: Long)

/** Newer traits: data of its own, more than one problem. */
object NewCount extends SparkJob {
  type JobData = Words
  type JobOutput = Map[String, Long]

  def validate(sc: SparkContext, runtime: JobEnvironment, config: Config): Words Or Every[ValidationProblem] = {
    val problems = Seq("words", "sure").filterNot(config.hasPath).map(name => SingleProblem("no " + name))
    problems match {
      case Seq()       => Good(Words(config.getStringList("words").asScala))
      case Seq(x)      => Bad(One(x))
      case Seq(x, y)   => Bad(Many(x, y))
    }
  }

  def runJob(sc: SparkContext, runtime: JobEnvironment, data: Words): Map[String, Long] =
    sc.parallelize(data.list).countByValue.toMap
}

trait Easy extends SparkJob {
  type JobData = Config
  type JobOutput = Any
  def validate(sc: SparkContext, runtime: JobEnvironment, config: Config): Config Or Every[ValidationProblem] =
    Good(config)
}

/** What the environment tells. */
class Environment extends Easy {
  def runJob(sc: SparkContext, runtime: JobEnvironment, data: Config): Any = Map(
    "id" -> runtime.jobId,
    "named" -> runtime.namedObjects,
    "cores" -> runtime.contextConfig.getInt("num-cpu-cores"),
    "thread" -> Thread.currentThread.getName,
    "group" -> sc.getLocalProperty("spark.jobGroup.id"),
    "equal" -> runtime.equals(sc),
    "text" -> runtime.toString.nonEmpty,
    "hash" -> runtime.hashCode.isValidInt
  )
}

/** A session, and values of a class of the job's own that come back from executors. */
object Session extends SparkSessionJob {
  type JobData = Int
  type JobOutput = Seq[Word]
  def validate(spark: SparkSession, runtime: JobEnvironment, config: Config): Int Or Every[ValidationProblem] =
    Good(config.getInt("count"))
  def runJob(spark: SparkSession, runtime: JobEnvironment, count: Int): Seq[Word] = {
    import spark.implicits._
    spark.range(count).map(n => Word("w" + n, n)).rdd.map(word => word.copy(count = word.count * 2)).collect().toSeq
  }
}

/** Fails, in the driver or in a task, with a cause. */
object Failing extends Easy {
  def runJob(sc: SparkContext, runtime: JobEnvironment, data: Config): Any = data.getString("where") match {
    case "driver" => throw new IllegalStateException("it broke", new RuntimeException("as the cause said"))
    case "task"   => sc.parallelize(1 to 3).map(n => 6 / (n - n)).collect()
    case "silent" => throw new IllegalStateException
  }
}

object FailingValidation extends Easy {
  override def validate(sc: SparkContext, runtime: JobEnvironment, config: Config) =
    throw new IllegalArgumentException("cannot look")
  def runJob(sc: SparkContext, runtime: JobEnvironment, data: Config): Any = 1
}

object FailingStart extends Easy {
  val broken: Int = sys.error("never made")
  def runJob(sc: SparkContext, runtime: JobEnvironment, data: Config): Any = broken
}

/** Long in an action; long in code that hears of an interruption; long in code that does not. */
object Waiting extends Easy {
  def runJob(sc: SparkContext, runtime: JobEnvironment, data: Config): Any = {
    println("begun")
    data.getString("where") match {
      case "action" =>
        val flag = if (data.hasPath("flag")) data.getString("flag") else ""
        sc.parallelize(1 to 2, 2).map { n =>
          if (flag.nonEmpty) new java.io.File(flag).createNewFile()
          Thread.sleep(60000)
          n
        }.sum()
      case "sleep"  => Thread.sleep(60000); "slept"
      case "spin"   =>
        val end = System.nanoTime + data.getInt("s") * 1000000000L
        var n = 0L
        while (System.nanoTime < end) n += 1
        n
    }
  }
}

object Printing extends Easy {
  def runJob(sc: SparkContext, runtime: JobEnvironment, data: Config): Any = {
    println("Scala says gr\u00fc\u00df \u2713")
    print("half a line")
    Console.out.write(Array[Byte](0, -1, 10))
    Console.err.println("Scala complains")
    System.out.println("Java says so")
    System.err.println("Java complains")
    (1 to data.getInt("lines")).foreach(n => println("line " + n))
    val other = new Thread(() => println("from another thread"))
    other.start()
    other.join()
    sc.parallelize(Seq(1, 2), 1).sum()
  }
}

/** A number of the machine's own. */
object Sum extends Easy {
  def runJob(sc: SparkContext, runtime: JobEnvironment, data: Config): Any =
    sc.parallelize(1 to data.getInt("to"), 4).map(n => Word("x", n)).map(_.count).sum()
}
