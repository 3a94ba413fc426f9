package s3op

import (
	"strconv"
	"strings"
	"time"

	"shoal/gateway/edge"
	"shoal/gateway/iam"
	"shoal/node/api"
)

// headerKeys are the headers whose values are condition keys of the name that follows "s3:".
var headerKeys = [...]struct{ header, key string }{
	{"X-Amz-Acl", "s3:x-amz-acl"},
	{"X-Amz-Content-Sha256", "s3:x-amz-content-sha256"},
	{"X-Amz-Grant-Full-Control", "s3:x-amz-grant-full-control"},
	{"X-Amz-Grant-Read", "s3:x-amz-grant-read"},
	{"X-Amz-Grant-Read-Acp", "s3:x-amz-grant-read-acp"},
	{"X-Amz-Grant-Write", "s3:x-amz-grant-write"},
	{"X-Amz-Grant-Write-Acp", "s3:x-amz-grant-write-acp"},
	{"X-Amz-Metadata-Directive", "s3:x-amz-metadata-directive"},
	{"X-Amz-Object-Ownership", "s3:x-amz-object-ownership"},
	{"X-Amz-Server-Side-Encryption", "s3:x-amz-server-side-encryption"},
	{"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", "s3:x-amz-server-side-encryption-aws-kms-key-id"},
	{"X-Amz-Server-Side-Encryption-Customer-Algorithm", "s3:x-amz-server-side-encryption-customer-algorithm"},
	{"X-Amz-Storage-Class", "s3:x-amz-storage-class"},
	{"X-Amz-Website-Redirect-Location", "s3:x-amz-website-redirect-location"},
	{"X-Amz-Object-Lock-Mode", "s3:object-lock-mode"},
	{"X-Amz-Object-Lock-Legal-Hold", "s3:object-lock-legal-hold"},
	{"X-Amz-Object-Lock-Retain-Until-Date", "s3:object-lock-retain-until-date"},
	{"If-Match", "s3:if-match"},
	{"If-None-Match", "s3:if-none-match"},
}

// queryKeys are the same of parameters.
var queryKeys = [...]struct{ name, key string }{
	{"prefix", "s3:prefix"}, {"delimiter", "s3:delimiter"}, {"max-keys", "s3:max-keys"}, {"versionId", "s3:versionid"},
}

// conditionKeys are the condition keys that the request has, whatever right is asked for. They are made once
// and not changed afterwards.
func (c *call) conditionKeys() map[string][]string {
	if c.keys != nil {
		return c.keys
	}
	k := iam.RequestKeys(c.HTTP, &c.Caller, c.Region, c.Now)
	k["s3:resourceaccount"] = []string{api.Account}
	for _, h := range headerKeys {
		if v := c.HTTP.Header[h.header]; len(v) > 0 && v[0] != "" {
			k[h.key] = v[:1:1]
		}
	}
	for _, q := range queryKeys {
		if v, ok := c.Query.Lookup(q.name); ok {
			k[q.key] = []string{v}
		}
	}
	c.addSignature(k)
	c.addWrite(k)
	c.keys = k
	return k
}

// addSignature says how the request was signed, and over which kind of connection it came.
func (c *call) addSignature(k map[string][]string) {
	if c.AuthType != "" {
		k["s3:authtype"] = []string{c.AuthType}
		k["s3:signatureversion"] = []string{"AWS4-HMAC-SHA256"}
		if !c.SignedAt.IsZero() {
			k["s3:signatureage"] = []string{itoa(c.Now.Sub(c.SignedAt).Milliseconds())}
		}
	}
	if tls := c.HTTP.TLS; tls != nil && edge.Secure(c.HTTP) { // or it would be that of a proxy, to whom the client came without
		k["s3:tlsversion"] = []string{"1." + itoa(int64(tls.Version)-0x0301)}
	}
}

// addWrite says what a write is to make.
func (c *call) addWrite(k map[string][]string) {
	h := c.HTTP.Header
	if needs[c.op.Name].action == "s3:PutObject" {
		k["s3:objectcreationoperation"] = []string{strconv.FormatBool(creates[c.op.Name])}
	}
	if raw := h.Get("X-Amz-Copy-Source"); raw != "" {
		path, _, _ := strings.Cut(raw, "?versionId=")
		if path, ok := unescape(path, false); ok {
			k["s3:x-amz-copy-source"] = []string{strings.TrimPrefix(path, "/")}
		}
	}
	if until, err := time.Parse(time.RFC3339, h.Get("X-Amz-Object-Lock-Retain-Until-Date")); err == nil {
		k["s3:object-lock-remaining-retention-days"] = []string{remainingDays(until, c.Now)}
	}
	if h.Get("X-Amz-Tagging") != "" {
		if tags, err := readTags(h); err == nil {
			addTags(k, tags)
		}
	}
}

func remainingDays(until, now time.Time) string {
	const day = 24 * time.Hour
	return itoa(int64((until.Sub(now) + day - 1) / day))
}

// addTags gives the condition keys of the tags that a request brings.
func addTags(k map[string][]string, tags []api.Tag) {
	names := make([]string, 0, len(tags))
	for _, t := range tags {
		k["s3:requestobjecttag/"+strings.ToLower(t.Key)] = []string{t.Value}
		names = append(names, t.Key)
	}
	if len(names) > 0 {
		k["s3:requestobjecttagkeys"] = names
	}
}
