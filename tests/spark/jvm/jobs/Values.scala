package jobs

import java.math.{BigDecimal => JavaDecimal, BigInteger}
import java.util

import com.typesafe.config.Config
import org.apache.spark.SparkContext
import spark.jobserver.api.JobEnvironment

case class Nested(name: String, inner: Option[Nested], list: List[Int])

class Cell(var next: Any) extends Product1[Any] {
  def _1: Any = next
  def canEqual(that: Any): Boolean = true
}

object Values extends Easy {
  def runJob(sc: SparkContext, runtime: JobEnvironment, data: Config): Any = data.getString("what") match {
    case "scalars" => Seq[Any](1, 2L, 1.5, 0.1f, true, "text \u00e4 \ud83d\ude00 \"\\\u0001", null, Double.NaN, Float.NegativeInfinity)
    case "texts"   => Seq[Any](5.toShort, 6.toByte, 'c', BigInt(7), BigDecimal("1.50"), new BigInteger("8"), new JavaDecimal("2.50"),
      Set(1), (), 'sym, new util.HashSet[Int](util.Arrays.asList(9)), java.time.LocalDate.of(2024, 5, 1), util.Optional.of(3),
      java.util.concurrent.TimeUnit.DAYS, classOf[String])
    case "products" => Seq[Any](Some(3), None, (1, "a"), Nested("n", Some(Nested("m", None, Nil)), List(1, 2)), Right(4))
    case "arrays"  => Seq[Any](Array(1, 2), Array(1.5, Double.NaN), Array(1L), Array(0.5f, Float.NaN), Array(true), Array("a", null),
      Array(1.toByte), Array(2.toShort), Array('c'), Array[Any](1, Array(2)), Array(Nested("x", None, Nil)), Array.empty[Double])
    case "maps"    => Map[Any, Any](1 -> "int", "k" -> Map("x" -> Seq(1)), 2.5 -> None, true -> Map.empty, 'c' -> 1, (1, 2) -> 2)
    case "java"    =>
      val map = new util.LinkedHashMap[Any, Any]()
      map.put("list", util.Arrays.asList(1, "b", util.Arrays.asList(2.5)))
      map.put(3, Seq(Map("a" -> new util.LinkedList[Any](util.Arrays.asList(1)))))
      map.put("day", java.util.concurrent.TimeUnit.DAYS)
      map.put(java.util.concurrent.TimeUnit.DAYS, null)
      map
    case "seqs"    => Seq[Any](List(1), Vector(2), Nil, 1 to 3, Stream(4, 5), scala.collection.mutable.ArrayBuffer(6),
      scala.collection.mutable.Queue(7), Seq(8).view, "ab".toSeq)
    case "unit"    => ()
    case "null"    => null
    case "none"    => None
    case "number"  => 42
    case "text"    => "text"
    case "half"    => "half of \ud83d alone"
    case "large"   => (1 to data.getInt("count")).map(n => Map("n" -> n, "half" -> n / 2.0, "text" -> ("t" + n))).toList
    case "ints"    => Array.range(0, data.getInt("count"))
    case "products-large" => (1 to data.getInt("count")).map(n => (n, Some(n)))
    case "endless" => Stream.from(1)
    case "round"   =>
      val cell = new Cell(null)
      cell.next = cell
      cell
    case "deep"    => (1 to data.getInt("count")).foldLeft[Any](1)((inner, _) => Seq(inner))
    case "late"    => Seq(1, 2).view.map(n => 1 / (n - 2))
    case "bytes"   => ("[" + "1," * data.getInt("count") + "2]").getBytes.toStream
    case "no-bytes" => Stream.empty[Byte]
    case "late-bytes" => Stream(91.toByte) #::: Stream.continually[Byte](sys.error("no more"))
  }
}
