// Line f: what Weir replaces. A KafkaJS consumer that stores by Sequelize's bulkCreate, as a careful team writes it:
// whole batches, four partitions side by side, a thousand rows a statement, positions committed after the rows.
// A message that comes again is met by the unique key (ignoreDuplicates).

import { Kafka, logLevel } from 'kafkajs';
import { DataTypes, Sequelize } from 'sequelize';

const ROWS = 1000;
const PARTITIONS = 4;
const { BENCH_BROKER, BENCH_TOPIC, BENCH_DATABASE_URL, BENCH_MESSAGES } = process.env;

const sequelize = new Sequelize(BENCH_DATABASE_URL, { logging: false, pool: { max: PARTITIONS } });
const Reading = sequelize.define(
  'Reading',
  {
    time: { type: DataTypes.DATE, primaryKey: true },
    sensor: { type: DataTypes.TEXT, primaryKey: true },
    metric: { type: DataTypes.TEXT, primaryKey: true },
    value: { type: DataTypes.DOUBLE, allowNull: false },
  },
  { tableName: 'sensor_readings', timestamps: false },
);

const store = (rows) => Reading.bulkCreate(rows, { ignoreDuplicates: true, returning: false });

let left = Number(BENCH_MESSAGES);
const kafka = new Kafka({ clientId: 'bench', brokers: [BENCH_BROKER], logLevel: logLevel.ERROR });
const consumer = kafka.consumer({ groupId: BENCH_TOPIC, maxWaitTimeInMs: 100 });

// Connections are made before the clock starts.
await Promise.all(Array.from({ length: PARTITIONS }, () => sequelize.query('select pg_sleep(0.1)')));
await consumer.connect();
await consumer.subscribe({ topic: BENCH_TOPIC, fromBeginning: true });
await consumer.run({
  partitionsConsumedConcurrently: PARTITIONS,
  eachBatch: async ({ batch, heartbeat }) => {
    let rows = [];
    for (const message of batch.messages) {
      const { sensorId, timestamp, values } = JSON.parse(message.value);
      const time = new Date(timestamp);
      for (const [metric, value] of Object.entries(values)) {
        rows.push({ time, sensor: sensorId, metric, value });
      }
      if (rows.length >= ROWS) {
        await store(rows);
        rows = [];
        await heartbeat();
      }
    }
    if (rows.length > 0) await store(rows);
    left -= batch.messages.length;
    if (left <= 0) console.log('done');
  },
});
