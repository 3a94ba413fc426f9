package s3

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"shoal/e2e/cluster"
)

// formField is one field of a form, in its order.
type formField struct{ name, value string }

// postForm is a form as a browser sends it.
type postForm struct {
	conditions string // of the policy, without the brackets; "" leaves the policy out
	expires    time.Duration
	fields     []formField // before the file
	filename   string
	content    string
	after      []formField
	forge      bool // sign with another secret
}

const boundary = "----shoalFormBoundary7MA4YWxk"

// signedFields are the conditions for the fields that every signed form has.
const signedFields = `{"bucket":"{b}"},{"x-amz-algorithm":"AWS4-HMAC-SHA256"},["starts-with","$x-amz-credential",""],["starts-with","$x-amz-date",""]`

// build gives the body of a form for a case's bucket, signed with the store's credential.
func (f *postForm) build(r *run) string {
	fields := f.fields
	if f.conditions != "" {
		now := time.Now().UTC()
		expires := f.expires
		if expires == 0 {
			expires = time.Hour
		}
		policy := fmt.Sprintf(`{"expiration":"%s","conditions":[%s]}`, now.Add(expires).Format("2006-01-02T15:04:05.000Z"), r.fill(f.conditions))
		if strings.HasPrefix(f.conditions, "raw:") {
			policy = strings.TrimPrefix(f.conditions, "raw:")
		}
		encoded := base64.StdEncoding.EncodeToString([]byte(policy))
		scope := now.Format("20060102") + "/" + cluster.Region + "/s3/aws4_request"
		secret := r.cred.SecretAccessKey
		if f.forge {
			secret += "x"
		}
		key := []byte("AWS4" + secret)
		for _, part := range strings.Split(scope, "/") {
			key = hmacSHA256(key, part)
		}
		fields = append(append([]formField{}, fields...),
			formField{"policy", encoded}, formField{"x-amz-algorithm", "AWS4-HMAC-SHA256"}, formField{"x-amz-credential", r.cred.AccessKeyID + "/" + scope},
			formField{"x-amz-date", now.Format("20060102T150405Z")}, formField{"x-amz-signature", hex.EncodeToString(hmacSHA256(key, encoded))})
	}
	var b strings.Builder
	write := func(list []formField) {
		for _, field := range list {
			fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n", boundary, field.name, r.fill(field.value))
		}
	}
	write(fields)
	if f.filename != "" {
		fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%s\"\r\nContent-Type: text/x-file\r\n\r\n%s\r\n", boundary, f.filename, f.content)
	}
	write(f.after)
	b.WriteString("--" + boundary + "--\r\n")
	return b.String()
}

func hmacSHA256(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func postFamily() family {
	const (
		fieldsPage = docs + "API/RESTObjectPOST.html"
		policyPage = docs + "API/sigv4-HTTPPOSTConstructPolicy.html"
		key        = `["starts-with","$key","up/"]`
	)
	post := func(name, conditions string, fields []formField, content string, status int, code string, has ...string) exchange {
		f := &postForm{conditions: signedFields + "," + conditions, fields: fields, filename: "a b.txt", content: content}
		return exchange{name: name, do: "POST /{b}", as: anonymous, head: H{"Content-Type": "multipart/form-data; boundary=" + boundary}, form: f, status: status, code: code, has: has}
	}
	with := func(e exchange, change func(*postForm)) exchange { change(e.form); return e }
	then := func(e exchange, next ...exchange) exchange { e.then = next; return e }
	k := []formField{{"key", "up/k"}}
	and := func(more ...formField) []formField { return append(append([]formField{}, k...), more...) }
	none := gone("up/k")
	denied := func(name, conditions string, fields []formField, has ...string) exchange {
		e := post(name, conditions, fields, "hello", 403, "AccessDenied", has...)
		e.doc, e.then = policyPage, []exchange{none}
		return e
	}
	invalid := func(name, raw string, has ...string) exchange {
		e := post(name, "", k, "hello", 400, "InvalidPolicyDocument", has...)
		e.doc, e.then, e.form.conditions = policyPage, []exchange{none}, "raw:"+raw
		return e
	}
	answer := func(e exchange, want H, exact *string) exchange { e.want, e.exact = want, exact; return e }
	large := bytesOf(5 << 20)
	return family{name: "post", doc: fieldsPage, cases: []exchange{
		then(answer(post("plain", key, k, "hello", 204, ""), H{"ETag": etagOf("hello"), "Location": "{*}/{b}/up/k", "x-amz-server-side-encryption": "AES256"}, text("")),
			exchange{do: "GET /{b}/up/k", status: 200, exact: text("hello"), want: H{"Content-Type": "text/x-file"}}),
		then(post("empty file", key, k, "", 204, ""), gives("up/k", "")),
		then(post("over another", key, k, "new", 204, ""), gives("up/k", "new")),
		then(post("more than fits in memory", key, k, large, 204, ""), gives("up/k", large)),
		then(with(post("fields after the file", key, k, "hello", 204, ""), func(f *postForm) { f.after = []formField{{"submit", "Upload"}} }), gives("up/k", "hello")),
		then(post("content like a boundary", key, k, "a\r\n--"+boundary[:10]+"\r\n--\r\n", 204, ""), gives("up/k", "a\r\n--"+boundary[:10]+"\r\n--\r\n")),
		then(post("file name in the key", key, []formField{{"key", "up/${filename}"}}, "hello", 204, ""), gives("up/a%20b.txt", "hello")),
		then(with(post("file name with directories", key, []formField{{"key", "up/${filename}"}}, "hello", 204, ""), func(f *postForm) { f.filename = "/etc/../x/passwd" }), gives("up/passwd", "hello")),
		then(post("names in capitals", key+`,{"CONTENT-TYPE":"a/b"}`, []formField{{"KEY", "up/k"}, {"Content-Type", "a/b"}}, "hello", 204, ""), exchange{do: "HEAD /{b}/up/k", status: 200, want: H{"Content-Type": "a/b"}}),
		then(post("metadata", key+`,["eq","$x-amz-meta-color","red"],["starts-with","$Cache-Control",""]`, and(formField{"x-amz-meta-color", "red"}, formField{"Cache-Control", "no-cache"}), "hello", 204, ""),
			exchange{do: "HEAD /{b}/up/k", status: 200, want: H{"x-amz-meta-color": "red", "Cache-Control": "no-cache"}}),
		then(post("tags", key+`,["starts-with","$tagging",""]`, and(formField{"tagging", "<Tagging><TagSet><Tag><Key>a b</Key><Value>c&amp;d</Value></Tag></TagSet></Tagging>"}), "hello", 400, "InvalidTag"), none),
		then(post("good tags", key+`,["starts-with","$tagging",""]`, and(formField{"tagging", "<Tagging><TagSet><Tag><Key>a b</Key><Value>c=d</Value></Tag></TagSet></Tagging>"}), "hello", 204, ""),
			exchange{do: "GET /{b}/up/k?tagging", status: 200, has: []string{"<Key>a b</Key><Value>c=d</Value>"}}),
		then(post("storage class", key+`,{"x-amz-storage-class":"REDUCED_REDUNDANCY"}`, and(formField{"x-amz-storage-class", "REDUCED_REDUNDANCY"}), "hello", 204, ""),
			exchange{do: "HEAD /{b}/up/k", status: 200, want: H{"x-amz-storage-class": "REDUCED_REDUNDANCY"}}),
		then(post("no such storage class", key+`,{"x-amz-storage-class":"GLACIER"}`, and(formField{"x-amz-storage-class", "GLACIER"}), "hello", 400, "InvalidStorageClass"), none),
		post("public", key+`,{"acl":"public-read"}`, and(formField{"acl", "public-read"}), "hello", 400, "AccessControlListNotSupported"),
		post("unknown x-amz field", key+`,{"x-amz-hologram":"1"}`, and(formField{"x-amz-hologram", "1"}), "hello", 501, "NotImplemented"),
		then(post("checksum of a named algorithm", key+`,{"x-amz-checksum-algorithm":"CRC32C"},{"x-amz-checksum-crc32c":"mnG7TA=="}`, and(formField{"x-amz-checksum-algorithm", "CRC32C"}, formField{"x-amz-checksum-crc32c", "mnG7TA=="}), "hello", 204, ""),
			exchange{do: "HEAD /{b}/up/k", head: H{"x-amz-checksum-mode": "ENABLED"}, status: 200, want: H{"x-amz-checksum-crc32c": "mnG7TA=="}}),
		then(post("checksum of another algorithm", key+`,{"x-amz-checksum-algorithm":"SHA256"},{"x-amz-checksum-crc32c":"mnG7TA=="}`, and(formField{"x-amz-checksum-algorithm", "SHA256"}, formField{"x-amz-checksum-crc32c", "mnG7TA=="}), "hello", 400, "InvalidRequest"), none),
		then(post("wrong checksum", key+`,{"x-amz-checksum-crc32c":"AAAAAA=="}`, and(formField{"x-amz-checksum-crc32c", "AAAAAA=="}), "hello", 400, "BadDigest"), none),
		answer(post("status 200", key+`,{"success_action_status":"200"}`, and(formField{"success_action_status", "200"}), "hello", 200, ""), nil, text("")),
		answer(post("status 201", key+`,{"success_action_status":"201"}`, and(formField{"success_action_status", "201"}), "hello", 201, ""), H{"Content-Type": "application/xml"},
			text(xmlHead+"<PostResponse><Location>{*}/{b}/up/k</Location><Bucket>{b}</Bucket><Key>up/k</Key><ETag>"+xmlETag("hello")+"</ETag></PostResponse>")),
		post("status that is none", key+`,{"success_action_status":"404"}`, and(formField{"success_action_status", "404"}), "hello", 204, ""),
		answer(post("redirect", key+`,["starts-with","$success_action_redirect","https://"]`, and(formField{"success_action_redirect", "https://example.com/done?x=1"}), "hello", 303, ""),
			H{"Location": "https://example.com/done?x=1&bucket={b}&key=up%2Fk&etag=%22" + plainETag("hello") + "%22"}, text("")),
		answer(post("redirect of old", key+`,["starts-with","$redirect",""]`, and(formField{"redirect", "https://example.com/done"}), "hello", 303, ""), H{"Location": "https://example.com/done?bucket={b}&key=up%2Fk&etag=%22" + plainETag("hello") + "%22"}, nil),
		post("redirect to nowhere", key+`,["starts-with","$success_action_redirect",""]`, and(formField{"success_action_redirect", "javascript:alert(1)"}), "hello", 204, ""),

		denied("key that the policy does not allow", key, []formField{{"key", "down/k"}}, "Invalid according to Policy: Policy Condition failed: ["),
		denied("exact condition fails", key+`,{"x-amz-meta-a":"b"}`, and(formField{"x-amz-meta-a", "c"}), "Policy Condition failed"),
		denied("field that is missing", key+`,{"x-amz-meta-a":"b"}`, k, "Policy Condition failed"),
		denied("field without condition", key, and(formField{"x-amz-meta-a", "b"}), "Extra input fields: x-amz-meta-a"),
		then(post("field that is ignored", key, and(formField{"x-ignore-me", "b"}), "hello", 204, ""), gives("up/k", "hello")),
		denied("another bucket", key+`,{"bucket":"another"}`, k, "Policy Condition failed"),
		with(denied("expired", key, k, "Policy expired."), func(f *postForm) { f.expires = -time.Minute }),
		{name: "forged", doc: policyPage, do: "POST /{b}", as: anonymous, head: H{"Content-Type": "multipart/form-data; boundary=" + boundary}, status: 403, code: "SignatureDoesNotMatch",
			form: &postForm{conditions: signedFields + "," + key, fields: k, filename: "f", content: "x", forge: true}, then: []exchange{none}},
		with(post("no policy", "", k, "hello", 403, "AccessDenied"), func(f *postForm) { f.conditions = "" }),

		then(post("size in range", key+`,["content-length-range",1,5]`, k, "hello", 204, ""), gives("up/k", "hello")),
		then(post("one byte too many", key+`,["content-length-range",1,5]`, k, "hello!", 400, "EntityTooLarge", "<MaxSizeAllowed>5</MaxSizeAllowed>"), none),
		then(post("too small", key+`,["content-length-range",6,10]`, k, "hello", 400, "EntityTooSmall", "<MinSizeAllowed>6</MinSizeAllowed>"), none),
		then(post("far too many", key+`,["content-length-range",0,5000000]`, k, large, 400, "EntityTooLarge"), none),

		invalid("policy that is no JSON", `x`, "Invalid JSON."),
		invalid("policy without expiration", `{"conditions":[]}`, "Policy missing expiration."),
		invalid("policy without conditions", `{"expiration":"2050-01-01T00:00:00Z"}`, "Policy missing conditions."),
		invalid("expiration that is no time", `{"expiration":"soon","conditions":[]}`, "Invalid &apos;expiration&apos; value"),
		invalid("condition of two", `{"expiration":"2050-01-01T00:00:00Z","conditions":[{"a":"b","c":"d"}]}`, "must have exactly one property"),
		invalid("unknown operator", `{"expiration":"2050-01-01T00:00:00Z","conditions":[["like","$key","x"]]}`, "unknown operation"),
		invalid("field without a dollar", `{"expiration":"2050-01-01T00:00:00Z","conditions":[["eq","key","x"]]}`, "Invalid Condition."),
		invalid("range upside down", `{"expiration":"2050-01-01T00:00:00Z","conditions":[["content-length-range",5,1]]}`, "content-length-range"),
		invalid("more behind the policy", `{"expiration":"2050-01-01T00:00:00Z","conditions":[]} {}`, "Invalid JSON."),

		with(post("no file", key, k, "", 400, "InvalidArgument", "POST requires exactly one file upload per request."), func(f *postForm) { f.filename = "" }),
		post("no key", `["starts-with","$x-ignore-key",""]`, nil, "hello", 400, "InvalidArgument", "Bucket POST must contain a field named &apos;key&apos;."),
		post("a field twice", key, and(formField{"key", "up/l"}), "hello", 400, "InvalidArgument"),
		post("fields too long", key+`,["starts-with","$x-amz-meta-a",""]`, and(formField{"x-amz-meta-a", strings.Repeat("x", 21<<10)}), "hello", 400, "MaxPostPreDataLengthExceededError"),
		post("metadata too long", key+`,["starts-with","$x-amz-meta-a",""]`, and(formField{"x-amz-meta-a", strings.Repeat("x", 3<<10)}), "hello", 400, "MetadataTooLarge"),
		{name: "no form", do: "POST /{b}", as: anonymous, head: H{"Content-Type": "text/plain"}, body: "hello", status: 400, code: "RequestIsNotMultiPartContent"},
		{name: "a form of another kind", do: "POST /{b}", as: anonymous, head: H{"Content-Type": "application/x-www-form-urlencoded"}, body: "key=k", status: 400, code: "RequestIsNotMultiPartContent"},
		{name: "malformed", do: "POST /{b}", as: anonymous, head: H{"Content-Type": "multipart/form-data; boundary=" + boundary}, body: "hello", status: 400, code: "MalformedPOSTRequest"},
		{name: "cut off in the file", do: "POST /{b}", as: anonymous, head: H{"Content-Type": "multipart/form-data; boundary=" + boundary},
			body: "--" + boundary + "\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n--" + boundary + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nhello", status: 403, code: "AccessDenied"},
		{name: "no bucket", do: "POST /{b2}", as: anonymous, head: H{"Content-Type": "multipart/form-data; boundary=" + boundary},
			form: &postForm{conditions: strings.Replace(signedFields, "{b}", "{b2}", 1) + "," + key, fields: k, filename: "f", content: "x"}, status: 404, code: "NoSuchBucket"},
	}}
}
