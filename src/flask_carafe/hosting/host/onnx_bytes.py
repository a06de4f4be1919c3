"""What an ONNX file says, read off its protobuf without the onnx package: class labels, and weights outside the file."""

from .refusal import LoadError

MOST_DEPTH = 12
# field numbers of onnx.proto
MODEL_GRAPH, MODEL_PRODUCER, MODEL_PRODUCER_VERSION = 7, 2, 3
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_SPARSE = 1, 5, 15
NODE_ATTRIBUTE = 5
ATTRIBUTE_NAME, ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_INTS, ATTRIBUTE_STRINGS, ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS = 1, 5, 6, 8, 9, 10, 11
TENSOR_EXTERNAL, TENSOR_LOCATION = 13, 14
LABELS = (b"classlabels_strings", b"classlabels_int64s", b"classlabels_ints")


class Facts(object):
    """``labels`` as the classifier inside has them, or None; ``producer`` and its version; ``is_external``."""

    def __init__(self):
        self.labels, self.producer, self.version, self.is_external = None, "", "", False


def read(data):
    """Facts about the model in ``data``.

    :raises LoadError: bytes that are no protobuf, or weights in another file.
    """
    facts = Facts()
    try:
        for number, value in fields(data):
            if number == MODEL_GRAPH and not isinstance(value, int):
                _graph(value, facts, 0)
            elif number == MODEL_PRODUCER and not isinstance(value, int):
                facts.producer = bytes(value).decode("utf-8", "replace")
            elif number == MODEL_PRODUCER_VERSION and not isinstance(value, int):
                facts.version = bytes(value).decode("utf-8", "replace")
    except (IndexError, ValueError) as exc:
        raise LoadError("wrong_format", "the file is no ONNX model that can be read: %s" % exc)
    if facts.is_external:
        raise LoadError("external_data", "the model keeps weights in another file: save it as one file (onnx.save with save_as_external_data=False)")
    return facts


def fields(data):
    """``(field number, value)`` of a message: an int, or a view of the bytes.

    :raises ValueError: not a message.
    """
    view, at, end = memoryview(data), 0, len(data)
    while at < end:
        key, at = _varint(view, at)
        number, form = key >> 3, key & 7
        if form == 0:
            value, at = _varint(view, at)
        elif form == 2:
            size, at = _varint(view, at)
            if at + size > end:
                raise ValueError("it ends too early")
            value, at = view[at : at + size], at + size
        elif form in (1, 5):
            size = 8 if form == 1 else 4
            value, at = view[at : at + size], at + size
        else:
            raise ValueError("an unknown wire type")
        yield number, value


def _varint(view, at):
    value = shift = 0
    while True:
        byte = view[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 70:
            raise ValueError("a number without end")


def _graph(data, facts, depth):
    if depth > MOST_DEPTH:
        return
    for number, value in fields(data):
        if isinstance(value, int):
            continue
        if number == GRAPH_INITIALIZER:
            _tensor(value, facts)
        elif number == GRAPH_SPARSE:
            for _, part in fields(value):
                if not isinstance(part, int):
                    _tensor(part, facts)
        elif number == GRAPH_NODE:
            for inner, attribute in fields(value):
                if inner == NODE_ATTRIBUTE and not isinstance(attribute, int):
                    _attribute(attribute, facts, depth)


def _tensor(data, facts):
    for number, value in fields(data):
        if number == TENSOR_EXTERNAL or number == TENSOR_LOCATION and value == 1:
            facts.is_external = True


def _attribute(data, facts, depth):
    name, ints, strings = b"", [], []
    for number, value in fields(data):
        if number == ATTRIBUTE_NAME and not isinstance(value, int):
            name = bytes(value)
        elif number in (ATTRIBUTE_TENSOR, ATTRIBUTE_TENSORS) and not isinstance(value, int):
            _tensor(value, facts)
        elif number in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS) and not isinstance(value, int):
            _graph(value, facts, depth + 1)
        elif number == ATTRIBUTE_INTS:
            ints += [value] if isinstance(value, int) else _packed(value)
        elif number == ATTRIBUTE_STRINGS and not isinstance(value, int):
            strings.append(bytes(value).decode("utf-8", "replace"))
    if name in LABELS and (ints or strings):
        facts.labels = strings or [value - (1 << 64) if value >> 63 else value for value in ints]


def _packed(view):
    values, at = [], 0
    while at < len(view):
        value, at = _varint(view, at)
        values.append(value)
    return values
