package security

import (
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

// What is asked for is done, or refused: never accepted and left.

func featureAttacks() []attack {
	return []attack{
		{"A19 customer key that is another's, or none", customerKeys},
		{"A19 encryption by a service that there is not", keyService},
		{"A21 targets that are addresses inside", targets},
	}
}

func customerHead(key []byte) map[string]string {
	sum := md5.Sum(key)
	return map[string]string{
		"x-amz-server-side-encryption-customer-algorithm": "AES256",
		"x-amz-server-side-encryption-customer-key":       base64.StdEncoding.EncodeToString(key),
		"x-amz-server-side-encryption-customer-key-md5":   base64.StdEncoding.EncodeToString(sum[:]),
	}
}

// customerKeys: keys of customers are sent over TLS alone, so none is taken here, and none is kept anywhere.
func customerKeys(t *testing.T, v *victim) {
	b := v.bucket(t, "a19-customer")
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	v.secrets.Store("a customer's key", string(key))
	a := v.send(t, &request{method: http.MethodPut, path: "/" + b.name + "/sealed", as: v.root, body: []byte(keptContent), head: customerHead(key)})
	if a.status == http.StatusOK {
		for _, head := range []map[string]string{nil, customerHead(make([]byte, 32)), customerHead(key[:31])} {
			if a := v.send(t, &request{method: http.MethodGet, path: "/" + b.name + "/sealed", as: v.root, head: head}); a.status/100 != 4 || strings.Contains(string(a.body), keptContent) {
				t.Errorf("%v", a)
			}
		}
		v.is(t, &request{method: http.MethodDelete, path: "/" + b.name + "/sealed", as: v.root}, 204, "")
	} else if a.status/100 != 4 {
		t.Errorf("%v", a)
	}
	for _, head := range []map[string]string{customerHead(key[:16]), {"x-amz-server-side-encryption-customer-algorithm": "AES256"}, {"x-amz-server-side-encryption-customer-key": "x"}} {
		if a := v.send(t, &request{method: http.MethodPut, path: "/" + b.name + "/kept", as: v.root, body: []byte("x"), head: head}); a.status/100 != 4 {
			t.Errorf("%v: %v", head, a)
		}
	}
	b.untouched(t)
}

func keyService(t *testing.T, v *victim) {
	b := v.bucket(t, "a19-service")
	for _, head := range []map[string]string{
		{"x-amz-server-side-encryption": "aws:kms"},
		{"x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:us-east-1:1:key/x"},
		{"x-amz-server-side-encryption": "none"}, {"x-amz-server-side-encryption": "aws:kms:dsse"},
	} {
		if a := v.send(t, &request{method: http.MethodPut, path: "/" + b.name + "/kept", as: v.root, body: []byte("x"), head: head}); a.status/100 != 4 && a.status != http.StatusNotImplemented {
			t.Errorf("%v: %v", head, a)
		}
	}
	b.untouched(t)
}

// targets: the store fetches from, and sends to, no address that a user names.
func targets(t *testing.T, v *victim) {
	b := v.bucket(t, "a21-targets")
	for _, address := range []string{"http://169.254.169.254/latest/meta-data/", "http://127.0.0.1:1/", "http://[::1]:1/", "http://localhost:1/", "file:///etc/passwd"} {
		for query, doc := range map[string]string{
			"notification": "<NotificationConfiguration><TopicConfiguration><Topic>" + address + "</Topic><Event>s3:ObjectCreated:*</Event></TopicConfiguration></NotificationConfiguration>",
			"replication":  "<ReplicationConfiguration><Role>r</Role><Rule><Status>Enabled</Status><Destination><Bucket>" + address + "</Bucket></Destination></Rule></ReplicationConfiguration>",
			"logging":      "<BucketLoggingStatus><LoggingEnabled><TargetBucket>" + address + "</TargetBucket><TargetPrefix/></LoggingEnabled></BucketLoggingStatus>",
			"website":      "<WebsiteConfiguration><RedirectAllRequestsTo><HostName>" + address + "</HostName></RedirectAllRequestsTo></WebsiteConfiguration>",
		} {
			a := v.send(t, &request{method: http.MethodPut, path: "/" + b.name, query: query, as: v.root, body: []byte(doc), head: map[string]string{"content-md5": md5Of(doc)}})
			if a.status/100 != 4 && a.status != http.StatusNotImplemented {
				t.Errorf("%s to %s: %v", query, address, a)
			}
		}
		a := v.send(t, &request{method: http.MethodPut, path: "/" + b.name + "/new", as: v.root, head: map[string]string{"x-amz-copy-source": address}})
		if a.status/100 != 4 {
			t.Errorf("copy from %s: %v", address, a)
		}
	}
	b.untouched(t)
}
