package security

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A form does what its policy says and nothing else
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html).

func formAttacks() []attack {
	var all []attack
	post := func(name, code string, status int, change func(*form)) {
		all = append(all, attack{name, func(t *testing.T, v *victim) {
			b := v.bucket(t, bucketName(name))
			f := &form{
				as: v.root, bucket: b.name, expires: time.Hour, file: "x", fields: [][2]string{{"key", "form/a"}},
				conditions: `["starts-with","$key","form/"],["content-length-range",0,100]`,
			}
			change(f)
			if f.mole {
				f.as = v.mole
			}
			if a := v.send(t, f.request()); a.status != status || a.code != code {
				t.Errorf("%v; want %d %q", a, status, code)
			}
			b.untouched(t)
		}})
	}
	post("A8 form with a file that is too large", "EntityTooLarge", 400, func(f *form) { f.file = strings.Repeat("x", 101) })
	post("A8 form with a file that is much too large", "EntityTooLarge", 400, func(f *form) { f.file = strings.Repeat("x", 1<<20) })
	post("A8 form with a key beside its prefix", "AccessDenied", 403, func(f *form) { f.fields[0][1] = "kept" })
	post("A8 form with a key that climbs out of its prefix", "AccessDenied", 403, func(f *form) { f.fields[0][1] = "../form/a" })
	post("A8 form for another bucket", "AccessDenied", 403, func(f *form) { f.policyBucket = "another" })
	post("A8 form with a field that its policy does not name", "AccessDenied", 403, func(f *form) { f.fields = append(f.fields, [2]string{"x-amz-meta-a", "b"}) })
	post("A8 form with tags that its policy does not name", "AccessDenied", 403, func(f *form) {
		f.fields = append(f.fields, [2]string{"tagging", "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"})
	})
	post("A8 form with a redirect that its policy does not name", "AccessDenied", 403, func(f *form) {
		f.fields = append(f.fields, [2]string{"success_action_redirect", "https://attacker.test/"})
	})
	post("A8 form whose policy has expired", "AccessDenied", 403, func(f *form) { f.expires = -time.Minute })
	post("A8 form whose policy was changed", "SignatureDoesNotMatch", 403, func(f *form) { f.change = true })
	post("A8 form signed with another secret", "SignatureDoesNotMatch", 403, func(f *form) { f.as.secret += "x" })
	post("A8 form with two keys", "InvalidArgument", 400, func(f *form) { f.fields = append(f.fields, [2]string{"key", "form/b"}) })
	post("A8 form of a user who may not write there", "AccessDenied", 403, func(f *form) { f.mole = true })
	return all
}

// form is a form as a browser sends it.
type form struct {
	as           credential
	mole         bool
	bucket       string
	policyBucket string
	expires      time.Duration
	conditions   string
	fields       [][2]string
	file         string
	change       bool
}

func (f *form) request() *request {
	now := time.Now().UTC()
	r := &request{method: http.MethodPost, path: "/" + f.bucket, as: f.as}
	scope := r.scope(now)
	bucket := f.bucket
	if f.policyBucket != "" {
		bucket = f.policyBucket
	}
	policy := fmt.Sprintf(`{"expiration":%q,"conditions":[{"bucket":%q},{"x-amz-algorithm":%q},["starts-with","$x-amz-credential",""],["starts-with","$x-amz-date",""],%s]}`,
		now.Add(f.expires).Format("2006-01-02T15:04:05.000Z"), bucket, algorithm, f.conditions)
	encoded := base64.StdEncoding.EncodeToString([]byte(policy))
	signature := hex.EncodeToString(mac(r.signingKey(now), encoded))
	if f.change {
		encoded = base64.StdEncoding.EncodeToString([]byte(strings.Replace(policy, "100", "200", 1)))
	}
	fields := append(f.fields[:len(f.fields):len(f.fields)], [][2]string{
		{"policy", encoded}, {"x-amz-algorithm", algorithm}, {"x-amz-credential", f.as.id + "/" + scope},
		{"x-amz-date", now.Format(longDate)}, {"x-amz-signature", signature},
	}...)
	const boundary = "boundary-of-the-attack"
	var b strings.Builder
	for _, field := range fields {
		fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n", boundary, field[0], field[1])
	}
	fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n%s\r\n--%s--\r\n", boundary, f.file, boundary)
	return &request{method: r.method, path: r.path, body: []byte(b.String()), head: map[string]string{"content-type": "multipart/form-data; boundary=" + boundary}}
}

func md5Of(text string) string {
	sum := md5.Sum([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}
