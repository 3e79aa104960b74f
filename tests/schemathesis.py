"""What schemathesis is told about Weir beside the OpenAPI document: bodies that are no JSON, and what no schema can say."""

import schemathesis


schemathesis.serializer.alias("application/wasm", "application/octet-stream")
schemathesis.serializer.alias("application/x-ndjson", "text/plain")


@schemathesis.hook
def before_call(context, case, kwargs):
    """Requests that the schema lets pass are made to keep what holds between their parts, or between them and the moment."""
    if not case.meta.generation.mode.is_positive:
        return
    if case.query:
        # Only a list knows its cursors, and the order of two times is no matter of either.
        case.query.pop("cursor", None)
        if "from" in case.query and "to" in case.query:
            case.query["to"] = "9999-12-31T23:59:59.999Z"
    if isinstance(case.body, dict):
        for reading in [case.body, case.body.get("reading"), *(case.body.get("readings") or [])]:
            keep_measurable(reading)


def keep_measurable(reading):
    """Of a time that a sensor can have measured, of no topic, which would have to be there, with units of the values that it has."""
    if not isinstance(reading, dict) or "sensorId" not in reading:
        return
    reading.pop("topic", None)
    time = reading["timestamp"]
    reading["timestamp"] = "2020" + time[4:] if isinstance(time, str) else int(time) % 1_700_000_000_000
    metrics = reading.get("values") or {"value": None}
    reading["unit"] = {metric: unit for metric, unit in (reading.get("unit") or {}).items() if metric in metrics}
    for values, metric in [(reading, "value"), *((metrics, metric) for metric in metrics)]:
        if isinstance(values.get(metric), int) and abs(values[metric]) > 2**53:
            values[metric] = float(2**60)
