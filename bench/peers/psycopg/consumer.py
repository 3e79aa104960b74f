"""Line g: the fastest plain Python. confluent-kafka takes 10,000 messages at a time, psycopg 3 copies their rows in binary.

Positions are committed after the rows. A message that comes again would make COPY fail on the unique key: a consumer for
production copies into a temporary table and merges, which is slower. This is the upper bound of such a program.
"""

import os
import time
from datetime import datetime

import orjson
import psycopg
from confluent_kafka import Consumer

MESSAGES = 10_000
COPY = "copy sensor_readings (time, sensor, metric, value) from stdin (format binary)"


def main() -> None:
    left = int(os.environ["BENCH_MESSAGES"])
    connection = psycopg.connect(os.environ["BENCH_DATABASE_URL"])
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ["BENCH_BROKER"],
            "group.id": os.environ["BENCH_TOPIC"],
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 100,
        }
    )
    consumer.subscribe([os.environ["BENCH_TOPIC"]])
    while left > 0:
        messages = consumer.consume(MESSAGES, timeout=0.2)
        if not messages:
            continue
        with connection.cursor() as cursor, cursor.copy(COPY) as copy:
            copy.set_types(["timestamptz", "text", "text", "float8"])
            for message in messages:
                if message.error():
                    raise RuntimeError(message.error())
                reading = orjson.loads(message.value())
                sensor, when = reading["sensorId"], datetime.fromisoformat(reading["timestamp"])
                for metric, value in reading["values"].items():
                    copy.write_row((when, sensor, metric, value))
        connection.commit()
        consumer.commit(asynchronous=False)
        left -= len(messages)
    print("done", flush=True)
    # Until the bench has looked at this process.
    time.sleep(600)


main()
