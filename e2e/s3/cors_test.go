package s3

import "strings"

const rulesXML = "<CORSRule><ID>first</ID><AllowedHeader>x-*</AllowedHeader><AllowedHeader>content-type</AllowedHeader><AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod>" +
	"<AllowedOrigin>https://a.example</AllowedOrigin><AllowedOrigin>https://*.b.example</AllowedOrigin><ExposeHeader>ETag</ExposeHeader><ExposeHeader>x-amz-request-id</ExposeHeader><MaxAgeSeconds>30</MaxAgeSeconds></CORSRule>" +
	"<CORSRule><AllowedMethod>HEAD</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule>"

func corsFamily() family {
	const origin, method, header = "<AllowedOrigin>*</AllowedOrigin>", "<AllowedMethod>GET</AllowedMethod>", "<AllowedHeader>*</AllowedHeader>"
	put := func(name, inner string, status int, code string, has ...string) exchange {
		return exchange{name: name, do: "PUT /{b}?cors", body: "<CORSConfiguration>" + inner + "</CORSConfiguration>", status: status, code: code, has: has}
	}
	rule := func(inner string) string { return "<CORSRule>" + inner + "</CORSRule>" }
	s := setting{query: "cors", page: "BucketCors", root: "CORSConfiguration", good: rulesXML, code: "NoSuchCORSConfiguration", put: 200}
	return family{name: "cors", doc: docs + "API/API_PutBucketCors.html", cases: append(s.common(),
		put("a hundred rules", strings.Repeat(rule(method+origin), 100), 200, ""),
		put("a hundred and one", strings.Repeat(rule(method+origin), 101), 400, "MalformedXML"),
		put("no rules", "", 400, "MalformedXML"),
		put("no origin", rule(method), 400, "MalformedXML"),
		put("no method", rule(origin), 400, "MalformedXML"),
		put("OPTIONS", rule(origin+"<AllowedMethod>OPTIONS</AllowedMethod>"), 400, "InvalidRequest", "Found unsupported HTTP method in CORS config. Unsupported method is OPTIONS"),
		put("method in small letters", rule(origin+"<AllowedMethod>get</AllowedMethod>"), 400, "InvalidRequest"),
		put("all methods", rule(origin+"<AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod><AllowedMethod>POST</AllowedMethod><AllowedMethod>DELETE</AllowedMethod><AllowedMethod>HEAD</AllowedMethod>"), 200, ""),
		put("two wildcards in an origin", rule(method+"<AllowedOrigin>https://*.*</AllowedOrigin>"), 400, "InvalidRequest", "can not have more than one wildcard."),
		put("two wildcards in a header", rule(method+origin+"<AllowedHeader>*-*</AllowedHeader>"), 400, "InvalidRequest", "can not have more than one wildcard."),
		put("wildcard in an exposed header", rule(method+origin+header+"<ExposeHeader>x-*</ExposeHeader>"), 400, "InvalidRequest", "We currently do not support wildcard for ExposeHeader"),
		put("origin with a line end", rule(method+"<AllowedOrigin>https://a&#13;&#10;x: y</AllowedOrigin>"), 400, "MalformedXML"),
		put("negative age", rule(method+origin+"<MaxAgeSeconds>-5</MaxAgeSeconds>"), 400, "MalformedXML"),
		put("age that is no number", rule(method+origin+"<MaxAgeSeconds>x</MaxAgeSeconds>"), 400, "MalformedXML"),
		put("ID too long", rule(method+origin+"<ID>"+strings.Repeat("i", 256)+"</ID>"), 400, "MalformedXML"),
		put("too large", rule(method+origin)+strings.Repeat(" ", 65<<10), 400, "MaxMessageLengthExceeded"),
	)}
}

// unshared are the headers of CORS on an answer; none of them must be there where nothing fits.
var unshared = H{"Access-Control-Allow-Origin": "-", "Access-Control-Allow-Methods": "-", "Access-Control-Allow-Headers": "-", "Access-Control-Expose-Headers": "-",
	"Access-Control-Max-Age": "-", "Access-Control-Allow-Credentials": "-"}

func corsAnswerFamily() family {
	set := exchange{do: "PUT /{b}?cors", body: "<CORSConfiguration>" + rulesXML + "</CORSConfiguration>", status: 200}
	first := func(origin string) H {
		return H{"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Methods": "GET, PUT", "Access-Control-Expose-Headers": "ETag, x-amz-request-id", "Access-Control-Max-Age": "30",
			"Access-Control-Allow-Credentials": "true", "Vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"}
	}
	anybody := H{"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "HEAD", "Access-Control-Expose-Headers": "-", "Access-Control-Max-Age": "-", "Access-Control-Allow-Credentials": "-",
		"Vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"}
	with := func(h H, name, value string) H {
		out := H{name: value}
		for n, v := range h {
			out[n] = v
		}
		out[name] = value
		return out
	}
	const preflight = docs + "API/RESTOPTIONSobject.html"
	ask := func(name, target, origin, method, headers string, status int, code string, want H, has ...string) exchange {
		h := H{}
		for n, v := range map[string]string{"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers} {
			if v != "" {
				h[n] = v
			}
		}
		return exchange{name: name, doc: preflight, do: "OPTIONS " + target, as: anonymous, head: h, status: status, code: code, want: want, has: has}
	}
	actual := func(name, line, origin string, status int, code string, want H) exchange {
		return exchange{name: name, do: line, head: H{"Origin": origin}, body: map[bool]string{true: "x"}[strings.HasPrefix(line, "PUT")], status: status, code: code, want: want}
	}
	const k = "/{b}/k"
	return family{name: "cors answer", doc: docs + "userguide/cors.html", before: append(digits, set), cases: []exchange{
		ask("preflight", k, "https://a.example", "PUT", "", 200, "", with(first("https://a.example"), "Content-Length", "0")),
		ask("preflight of a bucket", "/{b}", "https://a.example", "GET", "", 200, "", first("https://a.example")),
		ask("preflight with a query", k+"?uploadId=1&partNumber=2", "https://a.example", "PUT", "", 200, "", first("https://a.example")),
		ask("preflight of a key that is not", "/{b}/none", "https://a.example", "GET", "", 200, "", first("https://a.example")),
		ask("preflight with headers", k, "https://a.example", "PUT", "Content-Type, X-Amz-Date", 200, "", with(first("https://a.example"), "Access-Control-Allow-Headers", "content-type, x-amz-date")),
		ask("preflight with a header too many", k, "https://a.example", "PUT", "content-type, authorization", 403, "AccessForbidden", unshared, "CORSResponse: This CORS request is not allowed."),
		ask("preflight by a wildcard", k, "https://x.y.b.example", "GET", "", 200, "", first("https://x.y.b.example")),
		ask("preflight, wildcard needs its end", k, "https://x.b.example.evil.org", "GET", "", 403, "AccessForbidden", unshared),
		ask("preflight, wildcard needs its begin", k, "http://x.b.example", "GET", "", 403, "AccessForbidden", unshared),
		ask("preflight of the second rule", k, "https://anybody.example", "HEAD", "", 200, "", anybody),
		ask("preflight by an origin of no rule", k, "https://evil.example", "PUT", "", 403, "AccessForbidden", unshared, "<Method>PUT</Method><ResourceType>OBJECT</ResourceType>"),
		ask("preflight by origin null", k, "null", "PUT", "", 403, "AccessForbidden", unshared),
		ask("preflight for a method of no rule", k, "https://a.example", "DELETE", "", 403, "AccessForbidden", unshared, "<Method>DELETE</Method>"),
		ask("preflight, origin in capitals", k, "https://A.example", "GET", "", 403, "AccessForbidden", unshared),
		ask("preflight without origin", k, "", "PUT", "", 400, "BadRequest", unshared, "Insufficient information. Origin request header needed."),
		ask("preflight without method", k, "https://a.example", "", "", 400, "BadRequest", unshared, "Invalid Access-Control-Request-Method: null"),
		ask("preflight for a method that is none", k, "https://a.example", "BREW", "", 400, "BadRequest", unshared, "Invalid Access-Control-Request-Method: BREW"),
		ask("preflight of no bucket", "/{b2}/k", "https://a.example", "GET", "", 403, "AccessForbidden", unshared, "CORSResponse: Bucket not found"),
		{name: "preflight of a bucket without rules", doc: preflight, before: []exchange{{do: "DELETE /{b}?cors"}}, do: "OPTIONS /{b}/k", as: anonymous, head: H{"Origin": "https://a.example", "Access-Control-Request-Method": "GET"},
			status: 403, code: "AccessForbidden", want: unshared, has: []string{"CORSResponse: CORS is not enabled for this bucket."}},
		{name: "preflight, signed", doc: preflight, do: "OPTIONS /{b}/k", head: H{"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}, status: 200, want: first("https://a.example")},

		actual("read", "GET "+k, "https://a.example", 200, "", with(first("https://a.example"), "ETag", etagOf("0123456789"))),
		actual("write", "PUT "+k, "https://a.example", 200, "", first("https://a.example")),
		actual("head", "HEAD "+k, "https://a.example", 200, "", anybody),
		actual("list", "GET /{b}", "https://a.example", 200, "", first("https://a.example")),
		actual("error", "GET /{b}/none", "https://a.example", 404, "NoSuchKey", first("https://a.example")),
		actual("by an origin of no rule", "GET "+k, "https://evil.example", 200, "", unshared),
		actual("by a method of no rule", "DELETE "+k, "https://a.example", 204, "", unshared),
		actual("no bucket", "GET /{b2}/k", "https://a.example", 404, "NoSuchBucket", unshared),
		{name: "without origin", do: "GET /{b}/k", status: 200, want: with(unshared, "Vary", "-")},
		{name: "denied", do: "GET /{b}/k", as: anonymous, head: H{"Origin": "https://a.example"}, status: 403, code: "AccessDenied", want: first("https://a.example")},
		{name: "in force at once", before: []exchange{{do: "DELETE /{b}?cors"}}, do: "GET /{b}/k", head: H{"Origin": "https://a.example"}, status: 200, want: unshared,
			then: []exchange{set, {do: "GET /{b}/k", head: H{"Origin": "https://a.example"}, status: 200, want: first("https://a.example")}}},
	}}
}
