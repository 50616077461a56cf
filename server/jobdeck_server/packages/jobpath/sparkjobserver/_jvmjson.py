"""Results of JVM jobs as JSON, made in the JVM by the library for it that Spark brings, in one go and piece by piece.

    Int, Long, Float, Double        number; NaN and the infinities are null
    String, Boolean, null           as they are
    Scala Map, java.util.Map        object; keys in their string form
    Scala Seq, array, java.util.List    array
    tuple, case class, Option       array of its members: Some(3) is [3], None is []
    anything else                   its string form: Short, Byte, BigInt, Set, dates, Unit

The rules of the library are others, so it is asked for nothing but the bytes of what it knows; all else it is told:
which classes are to be converted to what (``_Rules._known``), and that what is none of them is its string form.

Source: the original's rules for results. Its library is Jackson 2.15, as Spark 3.5 has it.
"""

# Objects of the JVM have no types that a checker knows.
# ruff: noqa: ANN401
from __future__ import annotations

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from typing import Any

    from ._jvmhandles import Handles

__all__ = ["mapper"]

_JACKSON = "com.fasterxml.jackson.databind"
_STRING_KEY = 8  # of StdKeySerializers.Default: the string form, whatever the class
_BOXED_ARRAYS = ("[D", "[F", "[S", "[B", "[C")  # those whose items are not written as they are


def mapper(handles: Handles) -> Any:
    """An ``ObjectMapper`` that knows these rules; ``writeValue(Writer, Object)`` closes the writer."""
    return _Rules(handles).mapper()


class _Rules:
    def __init__(self, handles: Handles) -> None:
        self._handles = handles
        self._loader = handles.named(f"{_JACKSON}.ObjectMapper").getClassLoader()
        self._types = handles.static(f"{_JACKSON}.type.TypeFactory")
        self._known = self._std("SimpleSerializers", "module")()

    def mapper(self) -> Any:
        """See ``mapper``."""
        self._know_plain()
        self._know_floats()
        self._know_scala()
        self._know_arrays()
        keys = self._std("SimpleSerializers", "module")()
        keys.addSerializer(
            self._handles.object, self._std("StdKeySerializers$Default")(_STRING_KEY, self._handles.object)
        )
        factory = self._std("BeanSerializerFactory", "ser").instance
        factory = factory.withAdditionalSerializers(self._others())  # the later ones are asked first
        factory = factory.withAdditionalSerializers(self._known).withAdditionalKeySerializers(keys)
        made = self._handles.static(f"{_JACKSON}.ObjectMapper")()
        made.setSerializerFactory(factory)
        return made

    def _std(self, name: str, where: str = "ser.std") -> Any:
        return self._handles.static(f"{_JACKSON}.{where}.{name}")

    def _others(self) -> Any:
        """What is none of the known: text. Maps and arrays are not asked for here, as the library writes them."""
        text = self._std("ToStringSerializer").instance
        kinds = ("", "Reference", "Collection", "CollectionLike", "MapLike")
        of = self._handles.named(f"{_JACKSON}.ser.Serializers")
        return self._handles.answering(self._loader, of, {f"find{kind}Serializer": text for kind in kinds})

    def _add(self, of: Any, serializer: Any) -> None:
        self._known.addSerializer(of, serializer)

    def _converted(self, function: Any, to: Any, then: Any = None) -> Any:
        """What writes in place of a value another one.

        Args:
            function: Makes the other one, an object from an object.
            to: The class of the other one.
            then: Writes it; None for what the library has for its class.
        """
        of = self._handles.named(f"{_JACKSON}.util.Converter")
        converter = self._handles.converting(self._loader, of, function)
        to_type = self._types.defaultInstance().constructType(to)
        return self._std("StdDelegatingSerializer")(converter, to_type, then)

    def _know_plain(self) -> None:
        named, unknown = self._handles.named, self._types.unknownType()
        whole = "NumberSerializers$IntegerSerializer", "NumberSerializers$LongSerializer"
        for name, serializer in zip(("Integer", "Long"), whole):  # noqa: B905  # Python 3.8 has no strict
            of = named(f"java.lang.{name}")
            self._add(of, self._std(serializer)(of))
        self._add(named("java.lang.Boolean"), self._std("BooleanSerializer")(False))  # Java's
        self._add(named("java.lang.String"), self._std("StringSerializer")())
        self._add(named("java.util.List"), self._std("CollectionSerializer")(unknown, False, None, None))  # Java's

    def _know_floats(self) -> None:
        handles = self._handles
        double = handles.named("java.lang.Double")
        writers = {"Double": self._std("NumberSerializers$DoubleSerializer")(double)}
        writers["Float"] = self._std("NumberSerializers$FloatSerializer")()
        for name, writer in writers.items():
            of = handles.named(f"java.lang.{name}")
            finite = handles.method(of, "isFinite", handles.static(f"java.lang.{name}").TYPE)
            self._add(of, self._converted(handles.choice(finite, handles.same(), handles.nothing()), of, writer))

    def _know_scala(self) -> None:
        """Classes before the interfaces that they have, too: a list is a Seq and a Product."""
        handles, named = self._handles, self._handles.named
        converters = named("scala.collection.JavaConverters")
        java_map = handles.method(converters, "mapAsJavaMap", named("scala.collection.Map"))
        java_iterator = handles.method(converters, "asJavaIterator", named("scala.collection.Iterator"))
        items = handles.after(handles.method(named("scala.collection.Seq"), "iterator"), java_iterator)
        members = handles.after(handles.method(named("scala.Product"), "productIterator"), java_iterator)
        loop = self._std("IteratorSerializer", "ser.impl")(self._types.unknownType(), False, None)  # Java's
        as_map = self._converted(handles.function(java_map), named("java.util.Map"))
        as_items = self._converted(handles.function(items), named("java.util.Iterator"), loop)
        as_members = self._converted(handles.function(members), named("java.util.Iterator"), loop)
        for name in ("AbstractSeq", "immutable.List", "immutable.Stream", "Seq"):
            self._add(named(f"scala.collection.{name}"), as_items)
        for name in ("AbstractMap", "Map"):
            self._add(named(f"scala.collection.{name}"), as_map)
        for name in ("Option", "Product"):
            self._add(named(f"scala.{name}"), as_members)

    def _know_arrays(self) -> None:
        handles = self._handles
        boxed = handles.method(handles.named("scala.runtime.ScalaRunTime"), "toObjectArray", handles.object)
        as_objects = self._converted(handles.function(boxed), handles.objects)
        for name in _BOXED_ARRAYS:
            self._add(handles.named(name), as_objects)
