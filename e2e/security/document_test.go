package security

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Documents that are too large, too deep, or not what they seem are refused, and no memory is spent on them.

func documentAttacks() []attack {
	return []attack{
		{"A9 entities that grow", entities},
		{"A9 elements in elements in elements", deep},
		{"A9 documents of 10 MB", large},
		{"A9 fields that are not known, or twice", strangeFields},
		{"A9 part numbers out of range", partNumbers},
		{"A9 numbers out of range in queries", queryNumbers},
		{"A12 policies that cannot be evaluated", strangePolicies},
	}
}

// documents are the sub-resources that take a document.
var documents = map[string]string{
	"versioning": "VersioningConfiguration", "tagging": "Tagging", "cors": "CORSConfiguration", "lifecycle": "LifecycleConfiguration",
	"object-lock": "ObjectLockConfiguration", "encryption": "ServerSideEncryptionConfiguration", "publicAccessBlock": "PublicAccessBlockConfiguration",
	"ownershipControls": "OwnershipControls", "acl": "AccessControlPolicy", "requestPayment": "RequestPaymentConfiguration",
}

// refusedDocument puts a document on a sub-resource, where it must be refused.
func (b *held) refusedDocument(t *testing.T, resource, doc string) {
	t.Helper()
	a := b.send(t, &request{method: http.MethodPut, path: "/" + b.name, query: resource, as: b.root, body: []byte(doc), head: map[string]string{"content-md5": md5Of(doc)}})
	if a.status/100 != 4 {
		t.Errorf("%s %.60q: %v", resource, doc, a)
	}
}

func entities(t *testing.T, v *victim) {
	b := v.bucket(t, "a9-entities")
	for resource, root := range documents {
		b.refusedDocument(t, resource, `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><`+root+`>&b;</`+root+`>`)
		b.refusedDocument(t, resource, `<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><`+root+`>&a;</`+root+`>`)
	}
}

func deep(t *testing.T, v *victim) {
	b := v.bucket(t, "a9-deep")
	for resource, root := range documents {
		b.refusedDocument(t, resource, "<"+root+">"+strings.Repeat("<a>", 20_000)+strings.Repeat("</a>", 20_000)+"</"+root+">")
		b.refusedDocument(t, resource, strings.Repeat("<"+root+">", 20_000))
	}
}

func large(t *testing.T, v *victim) {
	b := v.bucket(t, "a9-large")
	filler := strings.Repeat("<!-- nothing -->", 10<<20/16)
	for resource, root := range documents {
		b.refusedDocument(t, resource, "<"+root+">"+filler+"</"+root+">")
	}
	b.refusedDocument(t, "policy", `{"Version":"2012-10-17","Statement":[`+strings.Repeat(" ", 10<<20)+`]}`)
	a := v.send(t, &request{method: http.MethodPost, path: "/" + b.name, query: "delete", as: v.root, body: []byte("<Delete>" + filler + "</Delete>"), head: map[string]string{"content-md5": md5Of("<Delete>" + filler + "</Delete>")}})
	if a.status/100 != 4 {
		t.Errorf("%v", a)
	}
	keys := make([]string, 1001)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
	}
	v.is(t, deleteObjects(b.name, v.root, keys...), 400, "MalformedXML")
	b.untouched(t)
}

func strangeFields(t *testing.T, v *victim) {
	b := v.bucket(t, "a9-fields")
	rule := func(inner string) string {
		return "<LifecycleConfiguration><Rule><ID>a</ID><Filter/><Status>Enabled</Status>" + inner + "</Rule></LifecycleConfiguration>"
	}
	for _, doc := range []string{
		rule("<NoncurentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurentVersionExpiration>"),
		rule("<NoncurrentVersionExpiration><NoncurentDays>1</NoncurentDays></NoncurrentVersionExpiration>"),
		rule("<Expiration><Days>-1</Days></Expiration>"),
		rule("<Expiration><Days>0</Days></Expiration>"),
		rule("<Expiration><Days>99999999999999999999</Days></Expiration>"),
		rule("<Expiration><Days>1</Days></Expiration><Expiration><Days>2</Days></Expiration>"),
		rule("<Expiration><Days>1</Days><Days>2</Days></Expiration>"),
	} {
		b.refusedDocument(t, "lifecycle", doc)
	}
	b.refusedDocument(t, "versioning", "<VersioningConfiguration><Status>Enabled</Status><Status>Suspended</Status></VersioningConfiguration>")
	b.refusedDocument(t, "versioning", "<VersioningConfiguration><Status>enabled</Status></VersioningConfiguration>")
	for _, query := range []string{"lifecycle", "policy"} {
		if a := v.send(t, &request{method: http.MethodGet, path: "/" + b.name, query: query, as: v.root}); a.status != http.StatusNotFound {
			t.Errorf("%s is set: %v", query, a)
		}
	}
}

func partNumbers(t *testing.T, v *victim) {
	b := v.bucket(t, "a9-parts")
	a := v.is(t, &request{method: http.MethodPost, path: "/" + b.name + "/new", query: "uploads", as: v.root}, 200, "")
	_, id, _ := strings.Cut(string(a.body), "<UploadId>")
	id, _, _ = strings.Cut(id, "<")
	for _, number := range []string{"0", "-1", "10001", "1.5", "99999999999999999999", "", "0x1", "1 1"} {
		a := v.send(t, &request{method: http.MethodPut, path: "/" + b.name + "/new", query: "partNumber=" + escape(number) + "&uploadId=" + escape(id), as: v.root, body: []byte("x")})
		if a.status != http.StatusBadRequest {
			t.Errorf("part %q: %v", number, a)
		}
	}
	for _, id := range []string{"x", "../../x", "%00", strings.Repeat("A", 3000)} {
		a := v.send(t, &request{method: http.MethodPut, path: "/" + b.name + "/new", query: "partNumber=1&uploadId=" + escape(id), as: v.root, body: []byte("x")})
		if a.status != http.StatusNotFound {
			t.Errorf("upload %.20q: %v", id, a)
		}
	}
	v.is(t, &request{method: http.MethodDelete, path: "/" + b.name + "/new", query: "uploadId=" + escape(id), as: v.root}, 204, "")
	b.untouched(t)
}

func queryNumbers(t *testing.T, v *victim) {
	b := v.bucket(t, "a9-queries")
	for _, query := range []string{
		"max-keys=-1", "list-type=2&max-keys=99999999999999999999", "max-keys=x", "list-type=3", "continuation-token=x&list-type=2",
		"max-uploads=-1&uploads", "max-keys=-1&versions", "key-marker=a&version-id-marker=x&versions", "encoding-type=base64", "uploads&versions",
	} {
		if a := v.send(t, &request{method: http.MethodGet, path: "/" + b.name, query: query, as: v.root}); a.status/100 != 4 {
			t.Errorf("%s: %v", query, a)
		}
	}
	for _, id := range []string{"x", "..", strings.Repeat("A", 5000), "%27%20or%201%3D1"} {
		if a := v.send(t, &request{method: http.MethodGet, path: "/" + b.name + "/kept", query: "versionId=" + id, as: v.root}); a.status/100 != 4 {
			t.Errorf("version %.20q: %v", id, a)
		}
	}
	for _, r := range []string{"bytes=-", "bytes=5-2", "bytes=x-y", "bytes=99999999999999999999-", "bytes=0-0,2-2,4-4", "octets=0-1", "bytes=-99999999999999999999"} {
		a := v.send(t, &request{method: http.MethodGet, path: "/" + b.name + "/kept", as: v.root, head: map[string]string{"range": r}})
		if a.status/100 == 5 || a.status == http.StatusPartialContent && len(a.body) > len(keptContent) {
			t.Errorf("range %q: %v", r, a)
		}
	}
}

func strangePolicies(t *testing.T, v *victim) {
	b := v.bucket(t, "a12-policies")
	statement := func(more string) string {
		return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam:::user/mole"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::a12-policies/*"` + more + `}}`
	}
	for _, doc := range []string{
		"", "{}", "[]", "null", "{", `{"Version":"2012-10-17"}`, `{"Version":"2026-01-01","Statement":[]}`,
		statement(`,"Condition":{"StringEqualz":{"s3:prefix":"a"}}`),
		statement(`,"Condition":{"StringEquals":{"s3:no-such-key":"a"}}`),
		statement(`,"Condition":{"NumericLessThan":{"s3:max-keys":"many"}}`),
		statement(`,"Condition":{"IpAddress":{"aws:SourceIp":"1.2.3.4/40"}}`),
		statement(`,"Condition":{"ForSomeValues:StringEquals":{"s3:prefix":"a"}}`),
		statement(`,"Effect":"Allow"`), statement(`,"Unknown":1`), statement(`,"NotAction":"s3:PutObject"`),
		strings.Replace(statement(""), "s3:GetObject", "s3:GetObjekt", 1),
		strings.Replace(statement(""), "arn:aws:s3:::a12-policies/*", "arn:aws:s3:::another/*", 1),
		strings.Replace(statement(""), "arn:aws:s3:::a12-policies/*", "a12-policies/*", 1),
		strings.Replace(statement(""), "arn:aws:iam:::user/mole", "arn:aws:iam:::user/nobody-there", 1),
		strings.Replace(statement(""), "Allow", "Permit", 1),
		strings.Replace(statement(""), `"Principal"`, `"Principl"`, 1),
	} {
		b.refusedDocument(t, "policy", doc)
	}
	v.is(t, &request{method: http.MethodGet, path: "/" + b.name, query: "policy", as: v.root}, 404, "NoSuchBucketPolicy")
	v.is(t, &request{method: http.MethodGet, path: "/" + b.name + "/kept", as: v.mole}, 403, "AccessDenied")
}
