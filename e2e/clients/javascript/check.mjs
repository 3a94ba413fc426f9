// The AWS SDK for JavaScript with the settings it has by default, against the store at
// AWS_ENDPOINT_URL: a whole tree there and back, and what the SDK does beside that.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { PassThrough } from "node:stream";
import { pipeline } from "node:stream/promises";
import * as S3 from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

const { TREE, BACK, FLAKY_ENDPOINT } = process.env;
const MiB = 1 << 20;
const s3 = new S3.S3();

/** The promise must be refused with this code and status. */
async function refused(code, status, promise) {
  const error = await promise.then(() => assert.fail(`not refused, want ${code}`), (e) => e);
  if (error instanceof assert.AssertionError) throw error;
  assert.deepEqual([error.name, error.$metadata?.httpStatusCode], [code, status], String(error));
}

/** Calls work with every item, a few at a time. */
async function each(items, atOnce, work) {
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

const bytes = async (answer) => Buffer.from(await answer.Body.transformToByteArray());
const byKey = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b));

async function tree(Bucket) {
  const found = await readdir(TREE, { recursive: true, withFileTypes: true });
  const names = found.filter((f) => f.isFile()).map((f) => relative(TREE, join(f.parentPath, f.name)));
  await each(names, 16, (Key) => new Upload({ client: s3, params: { Bucket, Key, Body: createReadStream(join(TREE, Key)) } }).done());
  await each(names, 16, async (Key) => {
    await mkdir(dirname(join(BACK, Key)), { recursive: true });
    await pipeline((await s3.getObject({ Bucket, Key })).Body, createWriteStream(join(BACK, Key)));
  });
  const listed = [];
  for await (const page of S3.paginateListObjectsV2({ client: s3, pageSize: 113 }, { Bucket })) {
    listed.push(...page.Contents.map((o) => o.Key));
  }
  assert.deepEqual(listed, names.sort(byKey), "the listing is not what was written, in order");
  await walk(Bucket, listed);
  for (let i = 0; i < names.length; i += 1000) {
    const Objects = names.slice(i, i + 1000).map((Key) => ({ Key }));
    const out = await s3.deleteObjects({ Bucket, Delete: { Objects } });
    assert.equal(out.Deleted.length, Objects.length, JSON.stringify(out.Errors));
  }
  assert.equal((await s3.listObjectsV2({ Bucket })).KeyCount, 0);
}

/** Walks the bucket folder by folder and must meet every key. */
async function walk(Bucket, keys) {
  const met = [];
  const folders = [""];
  while (folders.length > 0) {
    const Prefix = folders.pop();
    for await (const page of S3.paginateListObjectsV2({ client: s3, pageSize: 7 }, { Bucket, Prefix, Delimiter: "/" })) {
      met.push(...(page.Contents ?? []).map((o) => o.Key));
      folders.push(...(page.CommonPrefixes ?? []).map((p) => p.Prefix));
    }
  }
  assert.deepEqual(met.sort(byKey), keys, "walking by delimiter finds other keys");
}

async function checksums(Bucket) {
  const Body = randomBytes(100_000);
  const put = await s3.putObject({ Bucket, Key: "default", Body });
  assert.ok(put.ChecksumCRC32 && put.ChecksumType === "FULL_OBJECT", JSON.stringify(put));
  const got = await s3.getObject({ Bucket, Key: "default" });
  assert.equal(got.ChecksumCRC32, put.ChecksumCRC32);
  assert.deepEqual(await bytes(got), Body);
  for (const ChecksumAlgorithm of ["CRC32", "CRC32C", "SHA1", "SHA256"]) {
    const field = "Checksum" + ChecksumAlgorithm;
    await s3.putObject({ Bucket, Key: ChecksumAlgorithm, Body, ChecksumAlgorithm });
    const head = await s3.headObject({ Bucket, Key: ChecksumAlgorithm, ChecksumMode: "ENABLED" });
    assert.ok(head[field], `no ${field}`);
    if (ChecksumAlgorithm.startsWith("SHA")) {
      assert.equal(head[field], createHash(ChecksumAlgorithm.toLowerCase()).update(Body).digest("base64"));
    }
  }
  await refused("BadDigest", 400, s3.putObject({ Bucket, Key: "wrong", Body, ChecksumCRC32: "AAAAAA==" }));
  await refused("NotFound", 404, s3.headObject({ Bucket, Key: "wrong" }));
  // A stream of a length that is told goes up in chunks with the checksum in a trailer.
  const through = new PassThrough();
  through.end(Body);
  await s3.putObject({ Bucket, Key: "stream", Body: through, ContentLength: Body.length });
  assert.deepEqual(await bytes(await s3.getObject({ Bucket, Key: "stream" })), Body);
}

async function multipart(Bucket) {
  const data = randomBytes(20 * MiB + 7);
  const through = new PassThrough();
  const upload = new Upload({ client: s3, queueSize: 3, params: { Bucket, Key: "managed", Body: through, Metadata: { colour: "blue" } } });
  through.end(data);
  await upload.done();
  const head = await s3.headObject({ Bucket, Key: "managed", ChecksumMode: "ENABLED" });
  assert.ok(head.ETag.endsWith('-5"') && head.Metadata.colour === "blue" && head.ChecksumCRC32, JSON.stringify(head));
  assert.deepEqual(await bytes(await s3.getObject({ Bucket, Key: "managed" })), data);
  const part = await s3.getObject({ Bucket, Key: "managed", PartNumber: 5 });
  assert.equal(part.PartsCount, 5);
  assert.deepEqual(await bytes(part), data.subarray(20 * MiB));
  const range = await s3.getObject({ Bucket, Key: "managed", Range: "bytes=-10" });
  assert.deepEqual(await bytes(range), data.subarray(-10));
  await copyParts(Bucket, data);
  const { UploadId } = await s3.createMultipartUpload({ Bucket, Key: "given up" });
  await s3.abortMultipartUpload({ Bucket, Key: "given up", UploadId });
  await refused("NoSuchUpload", 404, s3.listParts({ Bucket, Key: "given up", UploadId }));
}

async function copyParts(Bucket, data) {
  const { UploadId } = await s3.createMultipartUpload({ Bucket, Key: "by hand", ChecksumAlgorithm: "CRC64NVME" });
  const where = { Bucket, Key: "by hand", UploadId };
  const Parts = [];
  for (const [i, CopySourceRange] of [`bytes=0-${5 * MiB - 1}`, `bytes=${5 * MiB}-${data.length - 1}`].entries()) {
    const out = await s3.uploadPartCopy({ ...where, PartNumber: i + 1, CopySource: `${Bucket}/managed`, CopySourceRange });
    Parts.push({ PartNumber: i + 1, ETag: out.CopyPartResult.ETag, ChecksumCRC64NVME: out.CopyPartResult.ChecksumCRC64NVME });
  }
  const done = await s3.completeMultipartUpload({ ...where, MultipartUpload: { Parts } });
  assert.equal(done.ChecksumType, "FULL_OBJECT");
  assert.ok(done.ChecksumCRC64NVME);
  assert.deepEqual(await bytes(await s3.getObject({ Bucket, Key: "by hand" })), data);
}

async function presigned(Bucket) {
  const where = { Bucket, Key: "odd näme/?&+ %" };
  const up = await getSignedUrl(s3, new S3.PutObjectCommand({ ...where, ContentType: "text/plain" }), { expiresIn: 60 });
  const put = await fetch(up, { method: "PUT", body: "by link", headers: { "content-type": "text/plain" } });
  assert.equal(put.status, 200, await put.text());
  const down = await getSignedUrl(s3, new S3.GetObjectCommand({ ...where, ResponseContentType: "text/odd" }));
  const got = await fetch(down);
  assert.deepEqual([got.status, await got.text(), got.headers.get("content-type")], [200, "by link", "text/odd"]);
  assert.equal((await fetch(down.replace("X-Amz-Signature=", "X-Amz-Signature=0"))).status, 403);
  const whole = await s3.createMultipartUpload(where);
  const part = await getSignedUrl(s3, new S3.UploadPartCommand({ ...where, UploadId: whole.UploadId, PartNumber: 1 }));
  const sent = await fetch(part, { method: "PUT", body: "a part by link" });
  assert.equal(sent.status, 200, await sent.text());
  const Parts = [{ PartNumber: 1, ETag: sent.headers.get("etag") }];
  await s3.completeMultipartUpload({ ...where, UploadId: whole.UploadId, MultipartUpload: { Parts } });
  assert.equal((await bytes(await s3.getObject(where))).toString(), "a part by link");
}

async function conditional(Bucket) {
  const where = { Bucket, Key: "lock" };
  const first = await s3.putObject({ ...where, Body: "1", IfNoneMatch: "*" });
  await refused("PreconditionFailed", 412, s3.putObject({ ...where, Body: "2", IfNoneMatch: "*" }));
  const second = await s3.putObject({ ...where, Body: "2", IfMatch: first.ETag });
  await refused("PreconditionFailed", 412, s3.putObject({ ...where, Body: "3", IfMatch: first.ETag }));
  await refused("PreconditionFailed", 412, s3.deleteObject({ ...where, IfMatch: first.ETag }));
  await s3.deleteObject({ ...where, IfMatch: second.ETag });
  const won = await Promise.all(Array.from({ length: 32 }, (_, i) =>
    s3.putObject({ ...where, Body: String(i), IfNoneMatch: "*" }).then(() => 1, (e) => {
      // A lost race is told as 412, or as 409 while the other write is under way.
      assert.ok([409, 412].includes(e.$metadata?.httpStatusCode), String(e));
      return 0;
    })));
  assert.equal(won.reduce((a, b) => a + b), 1, "a lock was got other than once");
}

async function versions(Bucket) {
  await s3.putBucketVersioning({ Bucket, VersioningConfiguration: { Status: "Enabled" } });
  const ids = [];
  for (let i = 0; i < 20; i++) ids.push((await s3.putObject({ Bucket, Key: "k", Body: String(i) })).VersionId);
  const marker = await s3.deleteObject({ Bucket, Key: "k" });
  assert.equal(marker.DeleteMarker, true);
  await refused("NoSuchKey", 404, s3.getObject({ Bucket, Key: "k" }));
  assert.equal((await bytes(await s3.getObject({ Bucket, Key: "k", VersionId: ids[3] }))).toString(), "3");
  await refused("MethodNotAllowed", 405, s3.getObject({ Bucket, Key: "k", VersionId: marker.VersionId }));
  const met = [];
  let page = { IsTruncated: true };
  while (page.IsTruncated) {
    page = await s3.listObjectVersions({ Bucket, MaxKeys: 6, KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker });
    met.push(...(page.Versions ?? []).map((v) => v.VersionId));
  }
  assert.deepEqual(met, ids.reverse(), "not newest first");
  const Objects = [...ids, marker.VersionId].map((VersionId) => ({ Key: "k", VersionId }));
  const out = await s3.deleteObjects({ Bucket, Delete: { Objects, Quiet: true } });
  assert.equal(out.Errors, undefined);
  await s3.deleteBucket({ Bucket });
}

async function retries(Bucket) {
  const flaky = new S3.S3({ endpoint: FLAKY_ENDPOINT });
  for (let i = 0; i < 20; i++) {
    const Body = randomBytes(i * 5000);
    await flaky.putObject({ Bucket, Key: "try", Body });
    assert.deepEqual(await bytes(await flaky.getObject({ Bucket, Key: "try" })), Body);
  }
  const Body = randomBytes(20 * MiB);
  await new Upload({ client: flaky, params: { Bucket, Key: "try", Body } }).done();
  assert.deepEqual(await bytes(await flaky.getObject({ Bucket, Key: "try" })), Body);
}

let failed = 0;
for (const check of [tree, checksums, multipart, presigned, conditional, versions, retries]) {
  const Bucket = "js-" + check.name;
  const began = Date.now();
  try {
    await s3.createBucket({ Bucket });
    await check(Bucket);
    console.log(`ok ${check.name} ${(Date.now() - began) / 1000} s`);
  } catch (e) {
    failed++;
    console.log(`FAILED ${check.name}\n`, e);
  }
}
console.log(`${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
