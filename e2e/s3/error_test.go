package s3

import "strings"

func errorFamily() family {
	return family{name: "error", doc: docs + "API/ErrorResponses.html", before: digits, cases: []exchange{
		{name: "document", do: "GET /{b}/none?x=1", status: 404, code: "NoSuchKey",
			exact: text(`<?xml version="1.0" encoding="UTF-8"?>` + "\n<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>none</Key><Resource>/{b}/none</Resource><RequestId>{*}</RequestId><HostId>{*}</HostId></Error>")},
		{name: "method that is none", do: "PATCH /{b}/k", status: 405, code: "MethodNotAllowed", has: []string{"<Method>PATCH</Method><ResourceType>OBJECT</ResourceType>"}},
		{name: "method that is none on a bucket", do: "PATCH /{b}", status: 405, code: "MethodNotAllowed", has: []string{"<ResourceType>BUCKET</ResourceType>"}},
		{name: "method that is none on the service", do: "PUT /", status: 405, code: "MethodNotAllowed", has: []string{"<ResourceType>SERVICE</ResourceType>"}},
		{name: "two sub-resources", do: "GET /{b}?acl&policy", status: 400, code: "InvalidArgument", has: []string{"Conflicting query string parameters"}},
		{name: "key that is not UTF-8", do: "GET /{b}/%ff", status: 400, code: "InvalidURI"},
		{name: "bad escape in the query", do: "GET /{b}?prefix=%zz", status: 400, code: "InvalidURI", as: anonymous},
		{name: "escaped in the document", do: "GET /{b}/%3Ca%26b%3E", status: 404, code: "NoSuchKey", has: []string{"<Key>&lt;a&amp;b&gt;</Key>"}},
		{name: "anonymous read", do: "GET /{b}/k", as: anonymous, status: 403, code: "AccessDenied"},
		{name: "anonymous read of nothing", do: "GET /{b}/none", as: anonymous, status: 403, code: "AccessDenied"},
		{name: "anonymous write", do: "PUT /{b}/k", as: anonymous, body: "x", status: 403, code: "AccessDenied", then: []exchange{gives("k", "0123456789")}},
		{name: "anonymous list", do: "GET /{b}", as: anonymous, status: 403, code: "AccessDenied"},
		{name: "anonymous list of buckets", do: "GET /", as: anonymous, status: 403, code: "AccessDenied"},
		{name: "anonymous deletion", do: "DELETE /{b}/k", as: anonymous, status: 403, code: "AccessDenied", then: []exchange{gives("k", "0123456789")}},
		{name: "torrent", doc: docs + "API/API_GetObjectTorrent.html", do: "GET /{b}/k?torrent", status: 501, code: "NotImplemented"},
		{name: "select", doc: docs + "API/API_SelectObjectContent.html", do: "POST /{b}/k?select&select-type=2", body: "<x/>", status: 501, code: "NotImplemented"},
		{name: "restore", doc: docs + "API/API_RestoreObject.html", do: "POST /{b}/k?restore", body: "<x/>", status: 501, code: "NotImplemented"},
		{name: "session", doc: docs + "API/API_CreateSession.html", do: "GET /{b}?session", status: 501, code: "NotImplemented"},
	}}
}

func signatureFamily() family {
	const (
		header = docs + "API/sigv4-auth-using-authorization-header.html"
		query  = docs + "API/sigv4-query-string-auth.html"
	)
	return family{name: "signature", doc: header, before: digits, cases: []exchange{
		{name: "header", do: "GET /{b}/k", status: 200},
		{name: "unsigned payload", do: "PUT /{b}/k", payload: unsigned, body: "x", status: 200},
		{name: "another digest", do: "PUT /{b}/k", payload: strings.Repeat("0", 64), body: "x", status: 400, code: "XAmzContentSHA256Mismatch", then: []exchange{gives("k", "0123456789")}},
		{name: "digest that is none", do: "PUT /{b}/k", payload: "abc", body: "x", status: 400, code: "InvalidArgument"},
		{name: "in the query", doc: query, do: "GET /{b}/k", as: presigned, status: 200, exact: text("0123456789")},
		{name: "in the query, write", doc: query, do: "PUT /{b}/k", as: presigned, body: "new", status: 200, then: []exchange{gives("k", "new")}},
		{name: "in the query, deletion", doc: query, do: "DELETE /{b}/k", as: presigned, status: 204},
		{name: "in the query, listing", doc: query, do: "GET /{b}?list-type=2&prefix=k", as: presigned, status: 200, has: []string{"<KeyCount>1</KeyCount>"}},
		{name: "in the query, with an override", doc: query, do: "GET /{b}/k?response-content-type=a/b", as: presigned, status: 200, want: H{"Content-Type": "a/b"}},
		{name: "unknown key", do: "GET /{b}/k", as: stranger, status: 403, code: "InvalidAccessKeyId", has: []string{"<AWSAccessKeyId>" + nobody + "</AWSAccessKeyId>"}},
		{name: "another secret", do: "GET /{b}/k", as: forger, status: 403, code: "SignatureDoesNotMatch"},
		{name: "another secret, write", do: "PUT /{b}/k", as: forger, body: "x", status: 403, code: "SignatureDoesNotMatch", then: []exchange{gives("k", "0123456789")}},
		{name: "an hour ago", do: "GET /{b}/k", as: late, status: 403, code: "RequestTimeTooSkewed"},
		{name: "version 2", do: "GET /{b}/k", as: anonymous, head: H{"Authorization": "AWS AKIANOBODYHASTHISKEY:abc="}, status: 400, code: "InvalidRequest"},
		{name: "malformed", do: "GET /{b}/k", as: anonymous, head: H{"Authorization": "AWS4-HMAC-SHA256 nothing", "x-amz-date": "20260101T000000Z"}, status: 400, code: "AuthorizationHeaderMalformed"},
	}}
}
