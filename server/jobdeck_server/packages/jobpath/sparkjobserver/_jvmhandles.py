"""Small programs for the JVM, put together over py4j out of its own method handles: no class of ours has to be there.

What crosses py4j changes its type: a Long may come back as an Integer, a Short is an int. So a job's data and its
result stay in the JVM: a method is called with an array of arguments, and what it returns goes straight into a ``Box``,
from where the next call takes it. A ``MethodHandle`` can be bound to its arguments, joined to others, and made an
object of an interface; that is all there is here.
"""

# Objects of the JVM have no types that a checker knows.
# ruff: noqa: ANN401
from __future__ import annotations

from py4j.java_gateway import JavaClass

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

__all__ = ["Box", "Handles"]


class Handles:
    """Makes handles by one gateway. ``Any`` is an object of the JVM, or what py4j makes of it."""

    def __init__(self, gateway: Any) -> None:
        self._gateway = gateway
        self._tools = self.static("java.lang.invoke.MethodHandles")
        self._types = self.static("java.lang.invoke.MethodType")
        self._proxies = self.static("java.lang.invoke.MethodHandleProxies")
        self._proxy = self.static("java.lang.reflect.Proxy")
        self._class = self.static("java.lang.Class")
        self._lookup = self._tools.publicLookup()
        self.object = self.named("java.lang.Object")
        self.objects = self.named("[Ljava.lang.Object;")

    # -- what Python has of the JVM --

    def static(self, name: str) -> Any:
        """The static methods and constructors of a class that Spark itself can see; nothing is looked up."""
        return JavaClass(
            name, self._gateway._gateway_client
        )  # the way through its own view asks the JVM once for each dot

    def named(self, name: str) -> Any:
        """A ``java.lang.Class`` that Spark itself can see."""
        return self._class.forName(name)

    def array(self, items: Sequence[Any], of: str = "java.lang.Object") -> Any:
        """An array; what Python has no object of the JVM for is converted."""
        made = self._gateway.new_array(self.static(of), len(items))
        for index, item in enumerate(items):
            made[index] = item
        return made

    def classes(self, *items: Any) -> Any:
        """An array of classes."""
        return self.array(items, "java.lang.Class")

    def new_array_list(self, items: Sequence[Any]) -> Any:
        """A list, for methods that take one in place of any number of arguments."""
        made = self.static("java.util.ArrayList")()
        for item in items:
            made.add(item)
        return made

    # -- handles --

    def type(self, returns: Any, *takes: Any) -> Any:
        """A ``MethodType``."""
        return self._types.methodType(returns, self.new_array_list(takes))

    def method(self, of: Any, name: str, *takes: Any) -> Any:
        """The handle of a public method of a class; one that is not static takes the object first."""
        return self.reflected(of.getMethod(name, self.classes(*takes)))

    def reflected(self, method: Any) -> Any:
        """The handle of a method, whatever its class is to others."""
        method.setAccessible(True)
        return self._lookup.unreflect(method)

    def function(self, handle: Any) -> Any:
        """The same from an object to an object."""
        return handle.asType(self.type(self.object, self.object))

    def after(self, first: Any, second: Any) -> Any:
        """``second(first(...))``."""
        return self._tools.filterReturnValue(first, second)

    def choice(self, test: Any, handle: Any, other: Any) -> Any:
        """``handle(x) if test(x) else other(x)``, from an object to an object."""
        asked = test.asType(self.type(self.static("java.lang.Boolean").TYPE, self.object))
        return self._tools.guardWithTest(asked, handle, other)

    def same(self) -> Any:
        """What returns its argument."""
        return self._tools.identity(self.object)

    def nothing(self) -> Any:
        """What returns null, whatever its argument."""
        return self._tools.empty(self.type(self.object, self.object))

    def fed(self, taker: Any, source: Any) -> Any:
        """``taker(source())``, for a taker of one argument and a source of none."""
        takes = taker.type().parameterType(0)
        return self._tools.collectArguments(taker, 0, source.asType(self.type(takes)))

    def bound(self, handle: Any, *arguments: Any) -> Any:
        """The same with its first arguments given."""
        return self._tools.insertArguments(handle, 0, self.array(arguments))

    def call(self, handle: Any) -> Any:
        """Call what takes no arguments."""
        return handle.invokeWithArguments(self.new_array_list(()))

    def is_a(self, of: Any, source: Any) -> bool:
        """Whether what a source of no arguments returns is an object of a class, without its crossing over."""
        test = self.method(self.named("java.lang.Class"), "isInstance", self.object).bindTo(of)
        return bool(self.call(self.fed(test, source)))

    def put(self, array: Any, index: int, source: Any) -> None:
        """Put what a source of no arguments returns into an array of objects."""
        setter = self._tools.arrayElementSetter(self.objects)
        self.call(self.fed(self.bound(setter, array, index), source))

    # -- objects of interfaces --

    def answering(self, loader: Any, interface: Any, answers: Mapping[str, Any]) -> Any:
        """An object of an interface, each of whose methods returns what stands under its name; else null."""
        table = self.static("java.util.HashMap")()
        for name, answer in answers.items():
            table.put(name, answer)
        get = self.method(self.named("java.util.Map"), "get", self.object).bindTo(table)
        method = self.named("java.lang.reflect.Method")
        name_of = self.method(method, "getName").asType(self.type(self.object, method))
        found = self._tools.filterArguments(get, 0, self.array([name_of], "java.lang.invoke.MethodHandle"))
        return self._handled(loader, interface, self._dropped(self._dropped(found, 0, self.object), 2, self.objects))

    def converting(self, loader: Any, interface: Any, function: Any) -> Any:
        """An object of an interface, whose method of one argument is a function from an object to an object."""
        element = self._tools.arrayElementGetter(self.objects)
        first = self._tools.insertArguments(element, 1, self.array([0]))
        applied = self._tools.filterArguments(function, 0, self.array([first], "java.lang.invoke.MethodHandle"))
        method = self.named("java.lang.reflect.Method")
        return self._handled(loader, interface, self._dropped(applied, 0, self.object, method))

    def _dropped(self, handle: Any, position: int, *types: Any) -> Any:
        return self._tools.dropArguments(handle, position, self.new_array_list(types))

    def _handled(self, loader: Any, interface: Any, handle: Any) -> Any:
        """An object whose every method is one handle, which takes the object, the method and its arguments."""
        handler = self._proxies.asInterfaceInstance(self.named("java.lang.reflect.InvocationHandler"), handle)
        return self._proxy.newProxyInstance(loader, self.classes(interface), handler)


class Box:
    """A place in the JVM for one object of any type."""

    def __init__(self, handles: Handles) -> None:
        self._handles = handles
        self._reference = handles.static("java.util.concurrent.atomic.AtomicReference")()
        of = handles.named("java.util.concurrent.atomic.AtomicReference")
        self.source = handles.method(of, "get").bindTo(self._reference)
        self._taker = handles.method(of, "set", handles.object).bindTo(self._reference)

    def get(self) -> Any:
        """What py4j makes of it: exact for objects, not for numbers."""
        return self._reference.get()

    def fill(self, target: Any, method: Any, arguments: Any) -> None:
        """Call a method; what it returns is in here then.

        Args:
            target: Whose method it is; None for a static one.
            method: A ``java.lang.reflect.Method``.
            arguments: An array of objects.

        Raises:
            py4j.protocol.Py4JJavaError: What the method has thrown.
        """
        handles = self._handles
        handle = handles.reflected(method)
        if target is not None:
            handle = handle.bindTo(target)
        spread = handle.asFixedArity().asSpreader(handles.objects, handle.type().parameterCount())
        whole = handles.after(spread.asType(handles.type(handles.object, handles.objects)), self._taker)
        whole.invokeWithArguments(handles.new_array_list([arguments]))

    def is_a(self, of: Any) -> bool:
        """Whether it is an object of a class; null is of none."""
        return self._handles.is_a(of, self.source)

    def clear(self) -> None:
        """Let go of it."""
        self._reference.set(None)

    def put(self, array: Any, index: int) -> None:
        """Put it into an array of objects."""
        self._handles.put(array, index, self.source)
