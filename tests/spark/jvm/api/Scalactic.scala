package org.scalactic

/** Stand-ins for the few names of this library that the job traits mention; they print as the library's do. */
sealed abstract class Or[+G, +B] {
  def isGood: Boolean
  def isBad: Boolean = !isGood
  def get: G
}

final case class Good[+G](g: G) extends Or[G, Nothing] {
  def isGood: Boolean = true
  def get: G = g
}

final case class Bad[+B](b: B) extends Or[Nothing, B] {
  def isGood: Boolean = false
  def get: Nothing = throw new NoSuchElementException("Bad(" + b + ").get")
}

sealed abstract class Every[+T](underlying: Vector[T]) {
  def toVector: Vector[T] = underlying
  def iterator: Iterator[T] = underlying.iterator
}

final case class One[+T](loneElement: T) extends Every[T](Vector(loneElement))

final case class Many[+T](firstElement: T, secondElement: T, otherElements: T*)
    extends Every[T](firstElement +: secondElement +: Vector(otherElements: _*)) {
  override def toString: String = toVector.mkString("Many(", ", ", ")")
}
