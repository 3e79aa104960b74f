// Line c: what Weir replaces. An Express service in front of the S3 store, as a careful team writes it: bodies go through as streams and
// never rest in memory whole, connections to the store are kept, the region is given so that nobody asks for it before each request, and
// an answer says its length. It checks one token and keeps no rows about files.

import http from 'node:http';
import { pipeline } from 'node:stream/promises';
import express from 'express';
import { Client } from 'minio';

const { BENCH_S3_HOST, BENCH_S3_PORT, BENCH_S3_REGION, BENCH_S3_ACCESS_KEY, BENCH_S3_SECRET_KEY, BENCH_TOKEN } = process.env;

const store = new Client({
  endPoint: BENCH_S3_HOST,
  port: Number(BENCH_S3_PORT),
  useSSL: false,
  region: BENCH_S3_REGION,
  accessKey: BENCH_S3_ACCESS_KEY,
  secretKey: BENCH_S3_SECRET_KEY,
  pathStyle: true,
  transportAgent: new http.Agent({ keepAlive: true, maxSockets: 64 }),
});

const app = express();
app.disable('x-powered-by');
app.disable('etag');

app.use((request, response, next) => {
  if (request.get('authorization') === `Bearer ${BENCH_TOKEN}`) return next();
  response.status(401).json({ error: 'Who are you?' });
});

app.put('/api/storage/files/:bucket/*name', async (request, response) => {
  const { bucket, name } = request.params;
  const length = request.get('content-length');
  const type = { 'Content-Type': request.get('content-type') ?? 'application/octet-stream' };
  const size = length === undefined ? undefined : Number(length);
  const { etag } = await store.putObject(bucket, name.join('/'), request, size, type);
  response.status(201).json({ data: { name: name.join('/'), size, etag } });
});

app.get('/api/storage/files/download/:bucket/*name', async (request, response) => {
  const { bucket, name } = request.params;
  const object = await store.getObject(bucket, name.join('/'));
  for (const header of ['content-type', 'content-length', 'etag', 'last-modified']) {
    if (object.headers[header]) response.set(header, object.headers[header]);
  }
  await pipeline(object, response);
});

// Express takes whatever has four parameters for what answers errors.
app.use((error, request, response, next) => {
  if (response.headersSent) return next(error);
  const status = error.code === 'NoSuchKey' || error.code === 'NoSuchBucket' ? 404 : 502;
  response.status(status).json({ error: error.message });
});

const server = app.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
