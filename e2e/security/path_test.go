package security

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A key is a text: it is decoded once, and what is signed, authorised and stored is the same.

func pathAttacks() []attack {
	return []attack{
		{"A5 keys that look like paths", pathKeys},
		{"A5 buckets that look like paths", pathBuckets},
		{"A5 path that leads to another user's bucket", pathAway},
		{"A6 keys of other buckets in a multi-object delete", deleteAway},
		{"A6 multi-object delete of what the user may not", deleteForbidden},
		{"A6 copy source that means another bucket", copyAway},
		{"A6 copy of what the user may not read", copyForbidden},
		{"A6 rename into what the user may not write", renameForbidden},
	}
}

// pathKeys: each is stored under its own name and found again, and nothing is written beside the store.
func pathKeys(t *testing.T, v *victim) {
	b := v.bucket(t, "a5-keys")
	v.bucket(t, "a5-other")
	keys := []string{
		"../a5-other/kept", "/../kept", "..", "../..", "a/../kept", "./kept", "//kept", "kept/", "kept//", "a\\..\\kept", "..\\kept",
		"%2e%2e/kept", "..%2fkept", "%252e", "kept%00", "kept;x=1", "kept?acl", "kept#x", "~root", "$HOME", "con", "a:b", "*", "{}", "\u202ekept", "k\u0301",
	}
	for i, key := range keys {
		path := "/" + b.name + "/" + escape(key)
		body := fmt.Sprintf("content %d", i)
		v.is(t, &request{method: http.MethodPut, path: path, as: v.root, body: []byte(body)}, 200, "")
		if a := v.is(t, &request{method: http.MethodGet, path: path, as: v.root}, 200, ""); string(a.body) != body {
			t.Errorf("%q gives %q", key, a.body)
		}
	}
	want := map[string]bool{"kept": true}
	for _, key := range keys {
		want[key] = true
	}
	a := v.is(t, &request{method: http.MethodGet, path: "/" + b.name, query: "encoding-type=url&list-type=2", as: v.root}, 200, "")
	for _, m := range keyElement.FindAllSubmatch(a.body, -1) {
		key, err := url.QueryUnescape(string(m[1]))
		if err != nil || !want[key] {
			t.Errorf("the bucket has %q (%v)", m[1], err)
		}
		delete(want, key)
	}
	if len(want) > 0 {
		t.Errorf("the bucket lacks %v", want)
	}
	(&held{v, "a5-other"}).untouched(t)
	v.inside(t)
}

// escape encodes a key as SigV4 wants it.
func escape(key string) string {
	var b strings.Builder
	for _, c := range []byte(key) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~/", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// inside checks that the data directory has no file or directory of a client's name.
func (v *victim) inside(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(v.p.Dir(), func(path string, _ os.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil // A file that is gone by now.
		}
		if strings.Contains(filepath.Base(path), "kept") {
			t.Errorf("%s has the name of an object", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func pathBuckets(t *testing.T, v *victim) {
	for _, name := range []string{"..", ".", "%2e%2e", "..%2f..", "a%2fb", "a..b", "-ab", "ab-", "A5-Upper", "a_b", "ab", "xn--ab", "a5-s3alias-s3alias", "192.168.5.4", "a%00b", "a%20b", strings.Repeat("a", 64)} {
		if a := v.send(t, &request{method: http.MethodPut, path: "/" + name, as: v.root}); a.status/100 != 4 {
			t.Errorf("bucket %q: %v", name, a)
		}
	}
}

func pathAway(t *testing.T, v *victim) {
	b := v.bucket(t, "a5-roots")
	v.bucket(t, "mole-a5")
	for _, path := range []string{"/mole-a5/../a5-roots/kept", "/mole-a5/%2e%2e/a5-roots/kept", "/./a5-roots/kept", "//a5-roots/kept", "/mole-a5//../../a5-roots/kept"} {
		a := v.send(t, &request{method: http.MethodGet, path: path, as: v.mole})
		if strings.Contains(string(a.body), keptContent) { // There may be a key of that name in the user's own bucket.
			t.Errorf("%s gave a root's object away: %v", path, a)
		}
		v.send(t, &request{method: http.MethodDelete, path: path, as: v.mole})
		v.send(t, &request{method: http.MethodPut, path: path, as: v.mole, body: []byte("x")})
	}
	b.untouched(t)
}

func deleteObjects(bucket string, as credential, keys ...string) *request {
	var doc strings.Builder
	doc.WriteString("<Delete>")
	for _, k := range keys {
		doc.WriteString("<Object><Key>" + k + "</Key></Object>")
	}
	doc.WriteString("</Delete>")
	return &request{
		method: http.MethodPost, path: "/" + bucket, query: "delete", as: as, body: []byte(doc.String()),
		head: map[string]string{"content-md5": md5Of(doc.String())},
	}
}

func deleteAway(t *testing.T, v *victim) {
	b := v.bucket(t, "a6-other")
	mine := v.bucket(t, "mole-a6")
	a := v.is(t, deleteObjects(mine.name, v.mole, "../a6-other/kept", "/a6-other/kept", "a6-other/kept", "..%2fa6-other%2fkept"), 200, "")
	if strings.Contains(string(a.body), "<Error>") {
		t.Errorf("keys that are not there cannot be deleted: %s", a.body)
	}
	b.untouched(t)
	mine.untouched(t)
}

func deleteForbidden(t *testing.T, v *victim) {
	b := v.bucket(t, "a6-forbidden")
	a := v.send(t, deleteObjects(b.name, v.mole, "kept"))
	if a.status == http.StatusOK && !strings.Contains(string(a.body), "<Code>AccessDenied</Code>") {
		t.Errorf("%v", a)
	}
	b.untouched(t)
}

func copyAway(t *testing.T, v *victim) {
	b := v.bucket(t, "a6-source")
	mine := v.bucket(t, "mole-a6-copy")
	for _, source := range []string{
		"mole-a6-copy/../a6-source/kept", "/mole-a6-copy/%2e%2e/a6-source/kept", "mole-a6-copy%2F..%2Fa6-source%2Fkept", "//a6-source/kept", "a6-source%2Fkept",
		"arn:aws:s3:::a6-source/kept", "a6-source/kept?versionId=null", "/a6-source//kept", "",
	} {
		r := &request{method: http.MethodPut, path: "/" + mine.name + "/new", as: v.mole, head: map[string]string{"x-amz-copy-source": source}}
		if a := v.send(t, r); a.status == http.StatusOK && source != "" {
			t.Errorf("copy from %q: %v", source, a)
		}
	}
	v.is(t, &request{method: http.MethodDelete, path: "/" + mine.name + "/new", as: v.mole}, 204, "")
	mine.untouched(t)
	b.untouched(t)
}

func copyForbidden(t *testing.T, v *victim) {
	b := v.bucket(t, "a6-secret")
	mine := v.bucket(t, "mole-a6-steal")
	v.is(t, &request{method: http.MethodPut, path: "/" + mine.name + "/new", as: v.mole, head: map[string]string{"x-amz-copy-source": "/" + b.name + "/kept"}}, 403, "AccessDenied")
	a := v.is(t, &request{method: http.MethodPost, path: "/" + mine.name + "/new", query: "uploads", as: v.mole}, 200, "")
	_, id, _ := strings.Cut(string(a.body), "<UploadId>")
	id, _, _ = strings.Cut(id, "<")
	part := &request{method: http.MethodPut, path: "/" + mine.name + "/new", query: "partNumber=1&uploadId=" + url.QueryEscape(id), as: v.mole, head: map[string]string{"x-amz-copy-source": "/" + b.name + "/kept"}}
	v.is(t, part, 403, "AccessDenied")
	v.is(t, &request{method: http.MethodDelete, path: part.path, query: "uploadId=" + url.QueryEscape(id), as: v.mole}, 204, "")
	mine.untouched(t)
}

func renameForbidden(t *testing.T, v *victim) {
	b := v.bucket(t, "a6-rename")
	r := &request{method: http.MethodPut, path: "/" + b.name + "/new", query: "renameObject", as: v.mole, head: map[string]string{"x-amz-rename-source": "/" + b.name + "/kept"}}
	v.is(t, r, 403, "AccessDenied")
	b.untouched(t)
}
