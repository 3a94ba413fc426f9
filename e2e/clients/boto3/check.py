"""boto3 and s3transfer with the settings they have by default, against the store at
AWS_ENDPOINT_URL: a whole tree there and back, and what the SDK does beside that."""

import base64
import hashlib
import io
import os
import sys
import time
import traceback
import urllib.error
import urllib.request
import uuid
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import ClientError

TREE, BACK = Path(os.environ["TREE"]), Path(os.environ["BACK"])
MIB = 1 << 20
s3 = boto3.client("s3")


def refused(code, status, call, **arguments):
    """The call must be refused with this code and status."""
    try:
        call(**arguments)
    except ClientError as e:
        got = e.response["Error"]["Code"], e.response["ResponseMetadata"]["HTTPStatusCode"]
        assert got == (code, status), f"refused with {got}, want {(code, status)}"
        return e.response
    raise AssertionError(f"not refused, want {code}")


def crc32(data):
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def sha256(data):
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def tree(bucket):
    names = sorted(str(p.relative_to(TREE)) for p in TREE.rglob("*") if p.is_file())

    def up(name):
        s3.upload_file(str(TREE / name), bucket, name)

    def down(name):
        (BACK / name).parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, name, str(BACK / name))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(up, names))
        list(pool.map(down, names))
    listed, walked = [], []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 113}):
        listed += [o["Key"] for o in page["Contents"]]
        assert all(o["ChecksumAlgorithm"] == ["CRC32"] for o in page["Contents"]), "not every object has the SDK's CRC32"
    assert listed == sorted(names, key=str.encode), "the listing is not what was written, in order"
    folders = [""]
    while folders:
        folder = folders.pop()
        pages = s3.get_paginator("list_objects").paginate(
            Bucket=bucket, Prefix=folder, Delimiter="/", PaginationConfig={"PageSize": 7})
        for page in pages:
            walked += [o["Key"] for o in page.get("Contents", [])]
            folders += [p["Prefix"] for p in page.get("CommonPrefixes", [])]
    assert sorted(walked) == sorted(names), "walking by delimiter finds other keys"
    for i in range(0, len(names), 1000):
        out = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": n} for n in names[i:i + 1000]]})
        assert len(out["Deleted"]) == len(names[i:i + 1000]) and "Errors" not in out, out.get("Errors")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def checksums(bucket):
    data = os.urandom(100_000)
    put = s3.put_object(Bucket=bucket, Key="default", Body=data)
    assert put["ChecksumCRC32"] == crc32(data) and put["ChecksumType"] == "FULL_OBJECT", put
    got = s3.get_object(Bucket=bucket, Key="default")
    assert got["ChecksumCRC32"] == crc32(data) and got["Body"].read() == data
    for algorithm, want in ("SHA256", sha256(data)), ("SHA1", base64.b64encode(hashlib.sha1(data).digest()).decode()):
        # A body that cannot seek is sent in chunks with the checksum in a trailer.
        s3.put_object(Bucket=bucket, Key=algorithm, Body=data, ChecksumAlgorithm=algorithm)
        head = s3.head_object(Bucket=bucket, Key=algorithm, ChecksumMode="ENABLED")
        assert head["Checksum" + algorithm] == want, head
        part = s3.get_object_attributes(Bucket=bucket, Key=algorithm, ObjectAttributes=["Checksum", "ObjectSize", "ETag"])
        assert part["Checksum"]["Checksum" + algorithm] == want and part["ObjectSize"] == len(data), part
    refused("BadDigest", 400, s3.put_object, Bucket=bucket, Key="wrong", Body=data, ChecksumCRC32=crc32(b"other"))
    refused("404", 404, s3.head_object, Bucket=bucket, Key="wrong")
    md5 = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    refused("BadDigest", 400, s3.put_object, Bucket=bucket, Key="wrong", Body=data, ContentMD5=md5)
    # Without checksums, as SDKs did it before 2025.
    old = boto3.client("s3", config=Config(request_checksum_calculation="when_required", response_checksum_validation="when_required"))
    old.put_object(Bucket=bucket, Key="old", Body=data)
    assert "ChecksumCRC64NVME" in s3.head_object(Bucket=bucket, Key="old", ChecksumMode="ENABLED")
    assert old.get_object(Bucket=bucket, Key="old")["Body"].read() == data


def multipart(bucket):
    data = os.urandom(20 * MIB + 7)
    extra = {"Metadata": {"colour": "blue"}, "ContentType": "text/x-odd", "Tagging": "a=b"}
    s3.upload_fileobj(io.BytesIO(data), bucket, "managed", ExtraArgs=extra)
    head = s3.head_object(Bucket=bucket, Key="managed", ChecksumMode="ENABLED")
    assert head["ETag"].endswith('-3"') and head["Metadata"] == {"colour": "blue"}, head
    assert head["ContentType"] == "text/x-odd" and head["ChecksumCRC32"], head
    back = io.BytesIO()
    s3.download_fileobj(bucket, "managed", back)
    assert back.getvalue() == data
    s3.copy({"Bucket": bucket, "Key": "managed"}, bucket, "copy ä+")
    s3.copy({"Bucket": bucket, "Key": "copy ä+"}, bucket, "copy of copy")
    assert s3.get_object(Bucket=bucket, Key="copy of copy")["Body"].read() == data
    middle = s3.get_object(Bucket=bucket, Key="managed", Range="bytes=8388600-8388620")
    assert middle["Body"].read() == data[8388600:8388621] and middle["ContentRange"].endswith(str(len(data)))
    part = s3.get_object(Bucket=bucket, Key="managed", PartNumber=3)
    assert part["Body"].read() == data[16 * MIB:] and part["PartsCount"] == 3
    byhand(bucket, data)


def byhand(bucket, data):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="by hand", ChecksumAlgorithm="SHA256")["UploadId"]
    where = {"Bucket": bucket, "Key": "by hand", "UploadId": upload}
    parts = []
    for number in 1, 2, 3:
        piece = data[(number - 1) * 5 * MIB:number * 5 * MIB]
        out = s3.upload_part(**where, PartNumber=number, Body=piece, ChecksumAlgorithm="SHA256")
        parts.append({"PartNumber": number, "ETag": out["ETag"], "ChecksumSHA256": out["ChecksumSHA256"]})
        assert out["ChecksumSHA256"] == sha256(piece)
    assert [p["PartNumber"] for page in s3.get_paginator("list_parts").paginate(**where, PaginationConfig={"PageSize": 2})
            for p in page["Parts"]] == [1, 2, 3]
    assert s3.list_multipart_uploads(Bucket=bucket)["Uploads"][0]["UploadId"] == upload
    refused("InvalidPartOrder", 400, s3.complete_multipart_upload, **where, MultipartUpload={"Parts": parts[::-1]})
    done = s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    assert done["ChecksumType"] == "COMPOSITE" and done["ChecksumSHA256"].endswith("-3"), done
    attributes = s3.get_object_attributes(Bucket=bucket, Key="by hand", ObjectAttributes=["ObjectParts", "StorageClass"])
    assert attributes["ObjectParts"]["TotalPartsCount"] == 3, attributes
    assert s3.get_object(Bucket=bucket, Key="by hand")["Body"].read() == data[:15 * MIB]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="given up")["UploadId"]
    s3.abort_multipart_upload(Bucket=bucket, Key="given up", UploadId=upload)
    refused("NoSuchUpload", 404, s3.list_parts, Bucket=bucket, Key="given up", UploadId=upload)


def ask(url, method="GET", data=None, headers={}):
    """What the URL answers without the SDK."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method)) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as e:
        return e.code, e.read(), e.headers


def presigned(bucket):
    # boto3 still presigns with the signatures before version 4 unless told, which new regions of AWS refuse too.
    v4 = boto3.client("s3", config=Config(signature_version="s3v4"))
    where = {"Bucket": bucket, "Key": "odd näme/?&+ %"}
    url = v4.generate_presigned_url("put_object", {**where, "ContentType": "text/plain"}, ExpiresIn=60)
    status, text, _ = ask(url, "PUT", b"by link", {"Content-Type": "text/plain"})
    assert status == 200, text
    assert ask(url, "PUT", b"by link", {"Content-Type": "text/html"})[0] == 403
    url = v4.generate_presigned_url("get_object", {**where, "ResponseContentDisposition": 'attachment; filename="ä"'})
    status, text, headers = ask(url)
    assert (status, text) == (200, b"by link") and headers["Content-Disposition"].startswith("attachment"), (status, text)
    assert ask(url.replace("X-Amz-Signature=", "X-Amz-Signature=0"))[0] == 403
    form(v4, bucket)


def form(v4, bucket):
    post = v4.generate_presigned_post(bucket, "form/${filename}", Fields={"success_action_status": "201"}, Conditions=[
        ["content-length-range", 1, 10], {"success_action_status": "201"}])
    for content, want in (b"short", 201), (b"far too long for it", 400):
        boundary = uuid.uuid4().hex
        body = "".join(f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in post["fields"].items())
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="it.txt"\r\n\r\n'
        body = body.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        status, text, _ = ask(post["url"], "POST", body, {"Content-Type": "multipart/form-data; boundary=" + boundary})
        assert status == want, (status, text)
    assert s3.get_object(Bucket=bucket, Key="form/it.txt")["Body"].read() == b"short"


def conditional(bucket):
    where = {"Bucket": bucket, "Key": "lock"}
    first = s3.put_object(**where, Body=b"1", IfNoneMatch="*")["ETag"]
    refused("PreconditionFailed", 412, s3.put_object, **where, Body=b"2", IfNoneMatch="*")
    second = s3.put_object(**where, Body=b"2", IfMatch=first)["ETag"]
    refused("PreconditionFailed", 412, s3.put_object, **where, Body=b"3", IfMatch=first)
    refused("NoSuchKey", 404, s3.put_object, Bucket=bucket, Key="none", Body=b"3", IfMatch=first)
    refused("PreconditionFailed", 412, s3.get_object, **where, IfMatch=first)
    refused("304", 304, s3.get_object, **where, IfNoneMatch=second)
    refused("PreconditionFailed", 412, s3.delete_object, **where, IfMatch=first)
    s3.delete_object(**where, IfMatch=second)

    def race(i):
        try:
            s3.put_object(**where, Body=str(i).encode(), IfNoneMatch="*")
            return 1
        except ClientError as e:
            # A lost race is told as 412, or as 409 while the other write is under way.
            assert e.response["ResponseMetadata"]["HTTPStatusCode"] in (409, 412), e
            return 0

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(race, range(32))) == 1, "a lock was got other than once"


def versions(bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    ids = [s3.put_object(Bucket=bucket, Key=f"k{i % 3}", Body=b"%d" % i)["VersionId"] for i in range(30)]
    assert s3.get_object(Bucket=bucket, Key="k0", VersionId=ids[0])["Body"].read() == b"0"
    marker = s3.delete_object(Bucket=bucket, Key="k0")
    assert marker["DeleteMarker"]
    refused("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="k0")
    s3.delete_object(Bucket=bucket, Key="k0", VersionId=marker["VersionId"])
    assert s3.get_object(Bucket=bucket, Key="k0")["Body"].read() == b"27"
    s3.delete_object(Bucket=bucket, Key="k1")
    pages = list(s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": 7}))
    assert sum(len(p.get("Versions", [])) for p in pages) == 30 and sum(len(p.get("DeleteMarkers", [])) for p in pages) == 1
    assert [v["VersionId"] for p in pages for v in p.get("Versions", []) if v["Key"] == "k2"] == ids[2::3][::-1], "not newest first"
    boto3.resource("s3").Bucket(bucket).object_versions.delete()
    assert "Versions" not in s3.list_object_versions(Bucket=bucket)


def settings(bucket):
    """What consoles and infrastructure tools ask of a bucket."""
    tags = [{"Key": "a", "Value": "ä b"}]
    refused("NoSuchTagSet", 404, s3.get_bucket_tagging, Bucket=bucket)
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    s3.put_object(Bucket=bucket, Key="tagged", Body=b"", Tagging="x=1&y=%C3%A4")
    assert s3.head_object(Bucket=bucket, Key="tagged")["TagCount"] == 2
    s3.put_object_tagging(Bucket=bucket, Key="tagged", Tagging={"TagSet": tags})
    assert s3.get_object_tagging(Bucket=bucket, Key="tagged")["TagSet"] == tags
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "old/"}, "Expiration": {"Days": 3}}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == [rule]
    cors = [{"AllowedMethods": ["GET"], "AllowedOrigins": ["https://example.com"], "MaxAgeSeconds": 3}]
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": cors})
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == cors
    assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]["BlockPublicAcls"]
    assert s3.get_bucket_acl(Bucket=bucket)["Grants"][0]["Permission"] == "FULL_CONTROL"
    key = os.urandom(32)
    s3.put_object(Bucket=bucket, Key="sealed", Body=b"mine", SSECustomerAlgorithm="AES256", SSECustomerKey=key)
    mine = s3.get_object(Bucket=bucket, Key="sealed", SSECustomerAlgorithm="AES256", SSECustomerKey=key)
    assert mine["Body"].read() == b"mine"
    refused("InvalidRequest", 400, s3.get_object, Bucket=bucket, Key="sealed")
    assert any(b["Name"] == bucket for page in s3.get_paginator("list_buckets").paginate(PaginationConfig={"PageSize": 2})
               for b in page["Buckets"])


def locks(bucket):
    s3.create_bucket(Bucket=bucket + "-held", ObjectLockEnabledForBucket=True)
    where = {"Bucket": bucket + "-held", "Key": "held"}
    until = time.time() + 3600
    version = s3.put_object(**where, Body=b"x", ObjectLockMode="GOVERNANCE",
                            ObjectLockRetainUntilDate=until, ObjectLockLegalHoldStatus="ON")["VersionId"]
    refused("AccessDenied", 403, s3.delete_object, **where, VersionId=version)
    assert abs(s3.get_object_retention(**where)["Retention"]["RetainUntilDate"].timestamp() - until) < 2
    s3.put_object_legal_hold(**where, LegalHold={"Status": "OFF"})
    refused("AccessDenied", 403, s3.delete_object, **where, VersionId=version)
    s3.delete_object(**where, VersionId=version, BypassGovernanceRetention=True)


def retries(bucket):
    flaky = boto3.client("s3", endpoint_url=os.environ["FLAKY_ENDPOINT"])
    data = os.urandom(20 * MIB)
    for i in range(20):
        flaky.put_object(Bucket=bucket, Key=f"try{i}", Body=data[:i * 5000])
        assert flaky.get_object(Bucket=bucket, Key=f"try{i}")["Body"].read() == data[:i * 5000]
    flaky.upload_fileobj(io.BytesIO(data), bucket, "try")
    back = io.BytesIO()
    flaky.download_fileobj(bucket, "try", back)
    assert back.getvalue() == data


def main():
    failed = 0
    for check in tree, checksums, multipart, presigned, conditional, versions, settings, locks, retries:
        bucket = "py-" + check.__name__
        began = time.monotonic()
        try:
            s3.create_bucket(Bucket=bucket)
            check(bucket)
            print(f"ok {check.__name__} {time.monotonic() - began:.1f} s")
        except Exception:
            failed += 1
            print(f"FAILED {check.__name__}\n{traceback.format_exc()}")
    print(f"boto3 {boto3.__version__}, botocore {botocore.__version__}: {failed} failed")
    sys.exit(failed > 0)


main()
