package gateway

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"shoal/gateway/s3err"
)

// Bucket and key are decoded once and nothing else is done to them
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html).
func TestTarget(t *testing.T) {
	tests := []struct {
		name, host, uri string
		bucket, key     string
		code            s3err.Code
	}{
		{"service", "h", "/", "", "", ""},
		{"bucket", "h", "/bucket", "bucket", "", ""},
		{"bucket with slash", "h", "/bucket/", "bucket", "", ""},
		{"key", "h", "/bucket/key", "bucket", "key", ""},
		{"dots", "h", "/bucket/a/../b", "bucket", "a/../b", ""},
		{"only dots", "h", "/bucket/..", "bucket", "..", ""},
		{"escaped dots", "h", "/bucket/%2e%2e/%2E%2E", "bucket", "../..", ""},
		{"double slash", "h", "/bucket//a//b//", "bucket", "/a//b//", ""},
		{"escaped slash", "h", "/bucket/a%2Fb", "bucket", "a/b", ""},
		{"trailing slash", "h", "/bucket/a/", "bucket", "a/", ""},
		{"plus", "h", "/bucket/a+b", "bucket", "a+b", ""},
		{"escaped plus", "h", "/bucket/a%2Bb", "bucket", "a+b", ""},
		{"escaped percent", "h", "/bucket/%2541", "bucket", "%41", ""},
		{"semicolon", "h", "/bucket/a;b=c", "bucket", "a;b=c", ""},
		{"backslash", "h", `/bucket/a\..\b`, "bucket", `a\..\b`, ""},
		{"nul", "h", "/bucket/a%00b", "bucket", "a\x00b", ""},
		{"unicode", "h", "/bucket/%E2%82%AC", "bucket", "€", ""},
		{"raw unicode", "h", "/bucket/€", "bucket", "€", ""},
		{"hash", "h", "/bucket/a#b", "bucket", "a#b", ""},
		{"query", "h", "/bucket/key?a=b", "bucket", "key", ""},
		{"question mark in the query", "h", "/bucket/key?a=b?c", "bucket", "key", ""},
		{"absolute form", "h", "http://h/bucket/key?x", "bucket", "key", ""},
		{"absolute form without path", "h", "http://h", "", "", ""},
		{"absolute form without path, query", "h", "http://h?x=y", "", "", ""},

		{"dots in the bucket's place", "h", "/../key", "..", "key", ""},
		{"escaped slash in the bucket", "h", "/a%2Fb/key", "", "", s3err.InvalidBucketName},
		{"backslash in the bucket", "h", `/a\b/key`, "", "", s3err.InvalidBucketName},
		{"nul in the bucket", "h", "/a%00b/key", "", "", s3err.InvalidBucketName},
		{"no bucket but a key", "h", "//key", "", "", s3err.InvalidBucketName},
		{"broken escape", "h", "/bucket/%zz", "", "", s3err.InvalidURI},
		{"cut escape", "h", "/bucket/%4", "", "", s3err.InvalidURI},
		{"escape of one character", "h", "/bucket/%", "", "", s3err.InvalidURI},
		{"not UTF-8", "h", "/bucket/%FF", "", "", s3err.InvalidURI},
		{"overlong slash", "h", "/bucket/%C0%AF", "", "", s3err.InvalidURI},
		{"surrogate", "h", "/bucket/%ED%A0%80", "", "", s3err.InvalidURI},
		{"broken escape in the query", "h", "/bucket?prefix=%z", "", "", s3err.InvalidURI},
		{"not UTF-8 in the query", "h", "/bucket?prefix=%FF", "", "", s3err.InvalidURI},
		{"asterisk", "h", "*", "", "", s3err.InvalidURI},
		{"authority form", "h", "h:443", "", "", s3err.InvalidURI},

		{"host style", "photos.s3.example.net", "/a/b", "photos", "a/b", ""},
		{"host style, bucket itself", "photos.s3.example.net", "/", "photos", "", ""},
		{"host style with port", "photos.s3.example.net:9000", "/a", "photos", "a", ""},
		{"host style, upper case", "Photos.S3.Example.NET", "/a", "photos", "a", ""},
		{"host style, final dot", "photos.s3.example.net.", "/a", "photos", "a", ""},
		{"host style, dots in the bucket", "a.b.c.s3.example.net", "/k", "a.b.c", "k", ""},
		{"host style, slashes", "photos.s3.example.net", "//a//", "photos", "/a//", ""},
		{"endpoint of the domain", "s3.example.net", "/photos/a", "photos", "a", ""},
		{"shorter domain", "photos.example.net", "/a", "photos", "a", ""},
		{"longer domain is no bucket of the shorter", "s3.example.net:80", "/b/k", "b", "k", ""},
		{"another domain", "photos.s3.example.org", "/b/k", "b", "k", ""},
		{"address", "127.0.0.1:9000", "/b/k", "b", "k", ""},
		{"IPv6 address", "[::1]:9000", "/b/k", "b", "k", ""},
		{"IPv6 address without port", "[::1]", "/b/k", "b", "k", ""},
	}
	h := newHosts([]string{"example.net", "s3.Example.net"})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := h.parse(&http.Request{Host: tt.host, RequestURI: tt.uri, URL: &url.URL{}})
			if tt.code != "" {
				if e := s3err.From(err); e == nil || e.Code != tt.code {
					t.Errorf("got %v, want %s", err, tt.code)
				}
				return
			}
			if err != nil || got.bucket != tt.bucket || got.key != tt.key {
				t.Errorf("got %q %q %v, want %q %q", got.bucket, got.key, err, tt.bucket, tt.key)
			}
		})
	}
}

// FuzzTarget: no request line panics, and a key that is escaped again names the same key.
func FuzzTarget(f *testing.F) {
	for _, uri := range []string{"/", "/b/k?x=y", "/b/%2e%2e/%", "//", "http://h/b/k", "*", "/b/a+b%2B"} {
		f.Add("photos.s3.example.net", uri)
		f.Add("", uri)
	}
	h := newHosts([]string{"s3.example.net"})
	f.Fuzz(func(t *testing.T, host, uri string) {
		got, err := h.parse(&http.Request{Host: host, RequestURI: uri, URL: &url.URL{}})
		if err != nil {
			return
		}
		var escaped strings.Builder
		for i := range len(got.key) {
			const digits = "0123456789ABCDEF"
			escaped.WriteString("%" + digits[got.key[i]>>4:][:1] + digits[got.key[i]&15:][:1])
		}
		again, err := newHosts(nil).parse(&http.Request{RequestURI: "/b/" + escaped.String(), URL: &url.URL{}})
		if err != nil || again.key != got.key {
			t.Errorf("key %q became %q, %v", got.key, again.key, err)
		}
	})
}

func TestRequestIDs(t *testing.T) {
	seen := make(map[string]bool)
	for range 10000 {
		id := newRequestID()
		if len(id) != requestIDBytes || strings.Trim(id, base32Digits) != "" || seen[id] {
			t.Fatalf("request ID %q", id)
		}
		seen[id] = true
	}
}
