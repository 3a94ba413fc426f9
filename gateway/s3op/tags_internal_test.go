package s3op

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"shoal/node/api"
)

// FuzzTaggingHeader: whatever is taken is a set of tags within the bounds of S3.
func FuzzTaggingHeader(f *testing.F) {
	for _, s := range []string{"a=1&b=2", "a", "a=%zz", "a=1&a=2", "%C3%BC=+", "aws:a=1", "a=%21", "&&=&"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tags, err := readTags(http.Header{"X-Amz-Tagging": {text}})
		if err != nil {
			return
		}
		seen := make(map[string]bool)
		for _, tag := range tags {
			if tag.Key == "" || seen[tag.Key] || !utf8.ValidString(tag.Key+tag.Value) || utf8.RuneCountInString(tag.Key) > 128 || utf8.RuneCountInString(tag.Value) > 256 {
				t.Fatalf("%q gives the tag %q", text, tag)
			}
			seen[tag.Key] = true
		}
		if len(tags) > api.TagsMax {
			t.Fatalf("%q gives %d tags", text, len(tags))
		}
	})
}

// FuzzCopySource: a source names a bucket and a key as they are stored, or is refused, and says the same when it is written again.
func FuzzCopySource(f *testing.F) {
	for _, s := range []string{"/b/k", "b/k", "b/k?versionId=v", "b/k?versionId=", "b//", "/b/%2e%2e/k", "b/a+b", "%62/k", "b%2Fk", "b/%ff", "//b/k", "b/k%3FversionId=v", "b/k?versionId=a?versionId=b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		bucket, key, version, err := parseCopySource(text)
		if err != nil {
			return
		}
		if bucket == "" || strings.Contains(bucket, "/") || key == "" || len(key) > api.MaxKeyLength || !utf8.ValidString(key) {
			t.Fatalf("%q gives the bucket %q and the key %q", text, bucket, key)
		}
		again := url.PathEscape(bucket) + "/" + url.PathEscape(key)
		if version != "" {
			again += "?versionId=" + url.PathEscape(version)
		}
		b, k, v, err := parseCopySource(again)
		if err != nil || b != bucket || k != key || v != version {
			t.Fatalf("%q, written as %q, gives %q, %q, %q (%v)", text, again, b, k, v, err)
		}
	})
}

// FuzzRenameSource: a source names a key of the request's bucket, or is refused.
func FuzzRenameSource(f *testing.F) {
	for _, s := range []string{"/b/k", "b/k", "b//", "/b/%2e%2e/k", "b/a+b", "%62/k", "b/%ff", "//b/k"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := &call{Request: &Request{Bucket: "b"}}
		key, err := c.readRenameSource(text)
		if err == nil && (key == "" || len(key) > api.MaxKeyLength || !utf8.ValidString(key)) {
			t.Fatalf("%q gives the key %q", text, key)
		}
	})
}
