package s3

import (
	"fmt"
	"strings"
)

func tagDoc(pairs ...string) string {
	var b strings.Builder
	b.WriteString("<Tagging" + xmlSpace + "><TagSet>")
	for i := 0; i < len(pairs); i += 2 {
		b.WriteString("<Tag><Key>" + pairs[i] + "</Key><Value>" + pairs[i+1] + "</Value></Tag>")
	}
	return b.String() + "</TagSet></Tagging>"
}

func taggingFamily() family {
	const do = "PUT /{b}/k?tagging"
	put := func(name, body string, status int, code string) exchange {
		return exchange{name: name, do: do, body: body, status: status, code: code}
	}
	is := func(pairs ...string) exchange {
		return exchange{do: "GET /{b}/k?tagging", status: 200, exact: text(xmlHead + tagDoc(pairs...))}
	}
	var many []string
	for i := range 11 {
		many = append(many, fmt.Sprint("key", i), "v")
	}
	limits := docs + "userguide/object-tagging.html"
	at := func(e exchange) exchange {
		e.doc = limits
		return e
	}
	get, del := docs+"API/API_GetObjectTagging.html", docs+"API/API_DeleteObjectTagging.html"
	tagged := exchange{do: do, body: tagDoc("a", "1")}
	return family{name: "tagging", doc: docs + "API/API_PutObjectTagging.html", before: digits, cases: []exchange{
		{name: "put", do: do, body: tagDoc("b", "2", "a", "1"), status: 200, exact: text(""), want: H{"x-amz-version-id": "-"}, then: []exchange{is("a", "1", "b", "2"), gives("k", "0123456789")}},
		{name: "replaced as a whole", before: []exchange{tagged}, do: do, body: tagDoc("c", "3"), status: 200, then: []exchange{is("c", "3")}},
		{name: "empty set", before: []exchange{tagged}, do: do, body: tagDoc(), status: 200, then: []exchange{is()}},
		at(put("ten tags", tagDoc(many[:20]...), 200, "")),
		at(put("eleven tags", tagDoc(many...), 400, "BadRequest")),
		at(put("key of 128", tagDoc(strings.Repeat("k", 128), "v"), 200, "")),
		at(put("key of 129", tagDoc(strings.Repeat("k", 129), "v"), 400, "InvalidTag")),
		at(put("key of 128 beyond ASCII", tagDoc(strings.Repeat("ß", 128), "v"), 200, "")),
		at(put("value of 256", tagDoc("k", strings.Repeat("v", 256)), 200, "")),
		at(put("value of 257", tagDoc("k", strings.Repeat("v", 257)), 400, "InvalidTag")),
		at(put("empty value", tagDoc("k", ""), 200, "")),
		at(put("empty key", tagDoc("", "v"), 400, "InvalidTag")),
		at(put("key twice", tagDoc("k", "1", "k", "2"), 400, "InvalidTag")),
		at(put("keys differ in case", tagDoc("k", "1", "K", "2"), 200, "")),
		at(put("allowed signs", tagDoc("+ - = . _ : / @", "+ - = . _ : / @"), 200, "")),
		at(put("key with other signs", tagDoc("k?", "v"), 400, "InvalidTag")),
		at(put("value with other signs", tagDoc("k", "a#b"), 400, "InvalidTag")),
		at(put("system key", tagDoc("aws:k", "v"), 400, "InvalidTag")),
		put("no body", "", 400, "MissingRequestBodyError"),
		put("no XML", "a=1", 400, "MalformedXML"),
		put("tag without value", "<Tagging><TagSet><Tag><Key>k</Key></Tag></TagSet></Tagging>", 400, "MalformedXML"),
		put("no set", "<Tagging/>", 400, "MalformedXML"),
		{name: "wrong digest", do: do, head: H{"Content-MD5": md5Of("x")}, body: tagDoc("a", "1"), status: 400, code: "BadDigest", then: []exchange{is()}},
		{name: "no key", do: "PUT /{b}/none?tagging", body: tagDoc("a", "1"), status: 404, code: "NoSuchKey"},
		{name: "no bucket", do: "PUT /{b2}/k?tagging", body: tagDoc("a", "1"), status: 404, code: "NoSuchBucket"},
		{name: "read none", doc: get, do: "GET /{b}/k?tagging", status: 200, exact: text(xmlHead + tagDoc())},
		{name: "read, no key", doc: get, do: "GET /{b}/none?tagging", status: 404, code: "NoSuchKey"},
		{name: "counted", doc: docs + "API/API_GetObject.html", before: []exchange{tagged}, do: "GET /{b}/k", status: 200, want: H{"x-amz-tagging-count": "1"}},
		{name: "counted, head", doc: docs + "API/API_HeadObject.html", before: []exchange{tagged}, do: "HEAD /{b}/k", status: 200, want: H{"x-amz-tagging-count": "1"}},
		{name: "none to count", doc: docs + "API/API_GetObject.html", do: "GET /{b}/k", status: 200, want: H{"x-amz-tagging-count": "-"}},
		{name: "removed", doc: del, before: []exchange{tagged}, do: "DELETE /{b}/k?tagging", status: 204, then: []exchange{is(), gives("k", "0123456789")}},
		{name: "removed twice", doc: del, before: []exchange{{do: "DELETE /{b}/k?tagging"}}, do: "DELETE /{b}/k?tagging", status: 204},
		{name: "removed, no key", doc: del, do: "DELETE /{b}/none?tagging", status: 404, code: "NoSuchKey"},
		{name: "overwritten object has none", before: []exchange{tagged, {do: "PUT /{b}/k", body: "new"}}, do: "GET /{b}/k?tagging", status: 200, exact: text(xmlHead + tagDoc())},
		{name: "of a version", before: append([]exchange{{do: "DELETE /{b}/k"}}, twice()...), do: do + "&versionId={v1}", body: tagDoc("a", "1"), status: 200, want: H{"x-amz-version-id": "{v1}"},
			then: []exchange{is(), {do: "GET /{b}/k?tagging&versionId={v1}", status: 200, want: H{"x-amz-version-id": "{v1}"}, exact: text(xmlHead + tagDoc("a", "1"))}}},
		{name: "remove from a version", doc: del, before: append(twice(), exchange{do: do + "&versionId={v1}", body: tagDoc("a", "1")}), do: "DELETE /{b}/k?tagging&versionId={v1}", status: 204, want: H{"x-amz-version-id": "{v1}"},
			then: []exchange{{do: "GET /{b}/k?tagging&versionId={v1}", status: 200, exact: text(xmlHead + tagDoc())}}},
		{name: "nobody's version", before: twice(), do: do + "&versionId=" + unknownVersion, body: tagDoc("a", "1"), status: 404, code: "NoSuchVersion"},
		{name: "malformed version", do: do + "&versionId=x", body: tagDoc("a", "1"), status: 400, code: "InvalidArgument"},
		{name: "marker", before: append(twice(), marker("k", "m")), do: do, body: tagDoc("a", "1"), status: 405, code: "MethodNotAllowed"},
		{name: "read marker", doc: get, before: append(twice(), marker("k", "m")), do: "GET /{b}/k?tagging&versionId={m}", status: 405, code: "MethodNotAllowed"},
	}}
}

func taggingHeaderFamily() family {
	put := func(name, value string, status int, code string, then ...exchange) exchange {
		return exchange{name: name, do: "PUT /{b}/k", head: H{"x-amz-tagging": value}, body: "x", status: status, code: code, then: then}
	}
	is := func(key string, pairs ...string) exchange {
		return exchange{do: "GET /{b}/" + key + "?tagging", status: 200, exact: text(xmlHead + tagDoc(pairs...))}
	}
	cp := func(name string, h H, status int, code string, then ...exchange) exchange {
		h["x-amz-copy-source"] = "/{b}/k"
		return exchange{name: name, doc: docs + "API/API_CopyObject.html", before: []exchange{{do: "PUT /{b}/k", head: H{"x-amz-tagging": "a=1"}, body: "x"}}, do: "PUT /{b}/l", head: h, status: status, code: code, then: then}
	}
	return family{name: "tagging header", doc: docs + "API/API_PutObject.html", cases: []exchange{
		put("two", "a=1&b=2", 200, "", is("k", "a", "1", "b", "2")),
		put("escaped", "a%2Bb=c%20d&e+f=", 200, "", is("k", "a+b", "c d", "e f", "")),
		put("without value", "a", 200, "", is("k", "a", "")),
		put("twice", "a=1&a=2", 400, "InvalidArgument", gone("k")),
		put("bad escape", "a=%4", 400, "InvalidArgument", gone("k")),
		put("other signs", "a=%3F", 400, "InvalidTag", gone("k")),
		put("too many", "a=&b=&c=&d=&e=&f=&g=&h=&i=&j=&k=", 400, "BadRequest", gone("k")),
		{name: "upload", doc: docs + "API/API_CreateMultipartUpload.html", before: []exchange{
			{do: "POST /{b}/k?uploads", head: H{"x-amz-tagging": "a=1"}, status: 200, save: H{"up": "<UploadId>"}}, {do: "PUT /{b}/k?partNumber=1&uploadId={up}", body: "part"}},
			do: "POST /{b}/k?uploadId={up}", body: "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + plainETag("part") + "</ETag></Part></CompleteMultipartUpload>", status: 200,
			then: []exchange{is("k", "a", "1")}},
		{name: "upload, twice", doc: docs + "API/API_CreateMultipartUpload.html", do: "POST /{b}/k?uploads", head: H{"x-amz-tagging": "a=1&a=1"}, status: 400, code: "InvalidArgument"},
		cp("copied", H{}, 200, "", is("l", "a", "1")),
		cp("copied by directive", H{"x-amz-tagging-directive": "COPY"}, 200, "", is("l", "a", "1")),
		cp("replaced", H{"x-amz-tagging-directive": "REPLACE", "x-amz-tagging": "b=2"}, 200, "", is("l", "b", "2")),
		cp("replaced by nothing", H{"x-amz-tagging-directive": "REPLACE"}, 200, "", is("l")),
		cp("unknown directive", H{"x-amz-tagging-directive": "KEEP"}, 400, "InvalidArgument"),
		cp("replaced by what is no tag", H{"x-amz-tagging-directive": "REPLACE", "x-amz-tagging": "aws:a=1"}, 400, "InvalidTag"),
	}}
}

func renameFamily() family {
	from := func(source string, more ...string) H {
		h := H{"x-amz-rename-source": source}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = more[i+1]
		}
		return h
	}
	const src = "x-amz-rename-source-if-"
	k := etagOf("0123456789")
	rn := func(name, to string, h H, status int, code string, then ...exchange) exchange {
		return exchange{name: name, do: "PUT /{b}/" + to + "?renameObject", head: h, status: status, code: code, then: then}
	}
	moved := []exchange{gone("k"), gives("new", "0123456789")}
	stays := []exchange{gives("k", "0123456789"), gives("there", "there")}
	large := bytesOf(200_000)
	return family{name: "rename", doc: docs + "API/API_RenameObject.html", before: append(digits, exchange{do: "PUT /{b}/there", body: "there"}), cases: []exchange{
		rn("to a free key", "new", from("/{b}/k"), 200, "", moved...),
		rn("without the slash in front", "new", from("{b}/k"), 200, "", moved...),
		rn("over another", "there", from("/{b}/k"), 200, "", gone("k"), gives("there", "0123456789")),
		{name: "keeps what is said of it", do: "PUT /{b}/new?renameObject", head: from("/{b}/k"), status: 200, then: []exchange{{do: "HEAD /{b}/new", status: 200, want: H{"Content-Type": "text/plain", "ETag": k}}}},
		{name: "large", before: []exchange{{do: "PUT /{b}/large", body: large}}, do: "PUT /{b}/new?renameObject", head: from("/{b}/large"), status: 200, then: []exchange{gives("new", large), gone("large")}},
		{name: "escaped", before: []exchange{{do: "PUT /{b}/a%20+b", body: "x"}}, do: "PUT /{b}/new?renameObject", head: from("/{b}/a%20+b"), status: 200, then: []exchange{gives("new", "x")}},
		rn("no such key", "new", from("/{b}/none"), 404, "NoSuchKey"),
		rn("another bucket", "new", from("/{b2}/k"), 400, "InvalidRequest", stays...),
		rn("onto itself", "k", from("/{b}/k"), 400, "InvalidRequest", stays...),
		rn("source without key", "new", from("/{b}"), 400, "InvalidArgument"),
		rn("no source", "new", H{}, 400, "InvalidArgument"),
		{name: "no bucket", do: "PUT /{b2}/new?renameObject", head: from("/{b2}/k"), status: 404, code: "NoSuchBucket"},
		rn("source matches", "new", from("/{b}/k", src+"match", k), 200, "", moved...),
		rn("source does not match", "there", from("/{b}/k", src+"match", etagOf("x")), 412, "PreconditionFailed", stays...),
		rn("source matches what it must not", "there", from("/{b}/k", src+"none-match", k), 412, "PreconditionFailed", stays...),
		rn("source has another ETag than it must not", "new", from("/{b}/k", src+"none-match", etagOf("x")), 200, "", moved...),
		rn("source modified", "new", from("/{b}/k", src+"modified-since", hours(-1)), 200, "", moved...),
		rn("source not modified", "there", from("/{b}/k", src+"modified-since", hours(1)), 412, "PreconditionFailed", stays...),
		rn("source unmodified", "new", from("/{b}/k", src+"unmodified-since", hours(1)), 200, "", moved...),
		rn("source not unmodified", "there", from("/{b}/k", src+"unmodified-since", hours(-1)), 412, "PreconditionFailed", stays...),
		rn("free as it must be", "new", from("/{b}/k", "If-None-Match", "*"), 200, "", moved...),
		rn("not free", "there", from("/{b}/k", "If-None-Match", "*"), 412, "PreconditionFailed", stays...),
		rn("target matches", "there", from("/{b}/k", "If-Match", etagOf("there")), 200, "", gives("there", "0123456789")),
		rn("target does not match", "there", from("/{b}/k", "If-Match", k), 412, "PreconditionFailed", stays...),
		rn("no target to match", "new", from("/{b}/k", "If-Match", "*"), 412, "PreconditionFailed", stays...),
		rn("target unmodified", "there", from("/{b}/k", "If-Unmodified-Since", hours(1)), 200, "", gives("there", "0123456789")),
		rn("target not unmodified", "there", from("/{b}/k", "If-Unmodified-Since", hours(-1)), 412, "PreconditionFailed", stays...),
		{name: "the same request twice", before: []exchange{rn("", "new", from("/{b}/k", "x-amz-client-token", "once"), 200, "")}, do: "PUT /{b}/new?renameObject", head: from("/{b}/k", "x-amz-client-token", "once"), status: 200, then: moved},
		{name: "twice without a token", before: []exchange{rn("", "new", from("/{b}/k"), 200, "")}, do: "PUT /{b}/new?renameObject", head: from("/{b}/k"), status: 404, code: "NoSuchKey"},
		{name: "versioned", before: twice(), do: "PUT /{b}/new?renameObject", head: from("/{b}/k"), status: 200, want: H{"x-amz-version-id": "{*}"}, then: []exchange{gives("new", "two"),
			{do: "GET /{b}/k", status: 404, code: "NoSuchKey", want: H{"x-amz-delete-marker": "true"}}, {do: "GET /{b}/k?versionId={v1}", status: 200, exact: text("one")}}},
		{name: "versioned, over another", before: append(twice(), version("l", "old", "old")), do: "PUT /{b}/l?renameObject", head: from("/{b}/k"), status: 200, then: []exchange{gives("l", "two"),
			{do: "GET /{b}/l?versionId={old}", status: 200, exact: text("old")}}},
		{name: "behind a marker", before: append(twice(), marker("k", "m")), do: "PUT /{b}/new?renameObject", head: from("/{b}/k"), status: 404, code: "NoSuchKey"},
	}}
}
