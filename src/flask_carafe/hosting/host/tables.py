"""Parquet and Arrow as columns in JSON and back, by pyarrow, which is loaded when the first such body comes.

What a file says of itself is checked before it is read; rows and bytes have a limit whatever it says.
"""

import base64
import datetime
import json
import math
import os

from .pictures import Refused, Unavailable

MOST_COLUMNS = 10000
MOST_VALUES = 5000000  # of all columns together; JSON within the limit of a body holds hardly more
MOST_BYTES = 64 << 20  # of a table in memory
ROWS_AT_ONCE = 64  # so that a file which unpacks without end is seen through early
INDEX = "__index_level_"  # what pandas calls an index that it stores as a column


class TooLarge(Refused):
    """A table over a limit; the text is the limit in words."""


def read(blob, want):
    """``{"names": […], "columns": [[…], …], "n": …}`` as JSON in UTF-8, one list a column, null where a value is missing.

    :param want: ``format`` (parquet, stream, file) and ``most_rows``.
    :raises TooLarge: more rows, columns, values or bytes than are read.
    :raises Refused: no such table, or values that JSON and the model's fields do not know.
    """
    arrow = loaded()
    try:
        table = _table(arrow, blob, want)
        kept = [(i, name) for i, name in enumerate(table.column_names) if not name.startswith(INDEX)]
        columns = [_values(arrow, name, table.column(i)) for i, name in kept]
    except arrow.ArrowException as exc:
        raise Refused("the table is damaged or not what its Content-Type says (%s)" % type(exc).__name__)
    names = [name for _, name in kept]
    return json.dumps({"names": names, "columns": columns, "n": table.num_rows}, allow_nan=False).encode("utf-8")


def write(blob, want):
    """The bytes of a table in ``want["format"]`` from the JSON that :func:`read` gives."""
    arrow = loaded()
    said = json.loads(blob.decode("utf-8"))
    table = arrow.table([_array(arrow, column) for column in said["columns"]], names=said["names"])
    sink = arrow.BufferOutputStream()
    if want["format"] == "parquet":
        from pyarrow import parquet

        parquet.write_table(table, sink)
    else:
        opened = arrow.ipc.new_stream if want["format"] == "stream" else arrow.ipc.new_file
        with opened(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue().to_pybytes()


def loaded():
    """pyarrow, with one thread and the system's own allocator, which the limit on this process's memory knows.

    :raises Unavailable: it is not there.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError:
        raise Unavailable("pyarrow is not installed on this server")
    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    return pyarrow


def _table(arrow, blob, want):
    source = arrow.BufferReader(blob)
    if want["format"] == "parquet":
        return _parquet(arrow, source, want["most_rows"])
    reader = arrow.ipc.open_stream(source) if want["format"] == "stream" else arrow.ipc.open_file(source)
    width = len(reader.schema)
    _check(0, width, 0, want["most_rows"])
    batches = iter(reader) if want["format"] == "stream" else (reader.get_batch(i) for i in range(reader.num_record_batches))
    kept, rows, size = [], 0, 0
    for batch in batches:
        batch.validate(full=True)  # pyarrow takes offsets and lengths at their word, and would read beyond the body
        rows, size = rows + batch.num_rows, size + batch.nbytes
        _check(rows, width, size, want["most_rows"])
        kept.append(batch)
    return arrow.Table.from_batches(kept, reader.schema)


def _parquet(arrow, source, most_rows):
    from pyarrow import parquet

    file = parquet.ParquetFile(source)
    facts = file.metadata
    _check(facts.num_rows, facts.num_columns, sum(facts.row_group(i).total_byte_size for i in range(facts.num_row_groups)), most_rows)
    kept, rows, size = [], 0, 0
    for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, use_threads=False):
        rows, size = rows + batch.num_rows, size + batch.nbytes
        _check(rows, facts.num_columns, size, most_rows)
        kept.append(batch)
    return arrow.Table.from_batches(kept, file.schema_arrow)


def _check(rows, columns, size, most_rows):
    if rows > most_rows:
        raise TooLarge("{:,} rows".format(most_rows))
    if columns > MOST_COLUMNS:
        raise TooLarge("{:,} columns".format(MOST_COLUMNS))
    if rows * columns > MOST_VALUES:
        raise TooLarge("{:,} values".format(MOST_VALUES))
    if size > MOST_BYTES:
        raise TooLarge("%d MiB when it is unpacked" % (MOST_BYTES >> 20))


def _values(arrow, name, column):
    """The values of one column as JSON has them."""
    kind, types = column.type, arrow.types
    if types.is_dictionary(kind):
        return _values(arrow, name, column.cast(kind.value_type))
    if types.is_float16(kind):
        column = column.cast(arrow.float32())
    elif types.is_timestamp(kind) and kind.unit == "ns":
        column = column.cast(arrow.timestamp("us", kind.tz), safe=False)
    return [_plain(value, name) for value in column.to_pylist()]


def _plain(value, name):
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        if math.isinf(value):
            raise Refused("the column %s holds infinity" % name[:100])
        return None if math.isnan(value) else value
    if isinstance(value, bytes):
        return "data:application/octet-stream;base64," + base64.b64encode(value).decode("ascii")
    if isinstance(value, list):
        return [_plain(one, name) for one in value]
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    if type(value).__name__ == "Decimal":
        return _plain(float(value), name)
    raise Refused("the column %s holds values that are not read here (%s)" % (name[:100], type(value).__name__))


def _array(arrow, values):
    """A column of what the values are; of JSON texts where they are of several kinds."""
    try:
        return arrow.array(values)
    except (arrow.ArrowException, TypeError, ValueError, OverflowError):
        return arrow.array([None if value is None else json.dumps(value) for value in values])
