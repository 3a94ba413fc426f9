package s3op_test

import (
	"crypto/md5"
	"encoding/base64"
	"net/http/httptest"
	"strings"
	"testing"
)

// customer are the headers of a key.
func customer(key string) H {
	sum := md5.Sum([]byte(key))
	const p = "x-amz-server-side-encryption-customer-"
	return H{p + "algorithm": "AES256", p + "key": base64.StdEncoding.EncodeToString([]byte(key)), p + "key-md5": base64.StdEncoding.EncodeToString(sum[:])}
}

// TestCustomerKeysNeedTLS: a key does not travel in the clear unless the operator says so, and what was refused has stored nothing.
func TestCustomerKeysNeedTLS(t *testing.T) {
	key := customer(strings.Repeat("k", 32))
	s := newServer(t)
	s.must("PUT /bkt", nil, "")
	s.service.PlainCustomerKeys = false
	if a := s.do("PUT /bkt/k", key, "x"); a.status != 400 || a.code() != "InvalidRequest" || !strings.Contains(a.body, "secure connection") {
		t.Errorf("over plain HTTP: %d %s", a.status, a.body)
	}
	if a := s.do("GET /bkt/k", nil, ""); a.status != 404 {
		t.Errorf("what was refused is there: %d", a.status)
	}
	plain := s.Server
	s.Server = httptest.NewTLSServer(plain.Config.Handler)
	t.Cleanup(s.Close)
	t.Cleanup(plain.Close)
	s.must("PUT /bkt/k", key, "x")
	if a := s.must("GET /bkt/k", key, ""); a.body != "x" {
		t.Errorf("over TLS: %q", a.body)
	}
}
