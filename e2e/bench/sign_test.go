package main

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"shoal/gateway/sigv4"
	"shoal/node/api"
)

// The credentials and the clock of the published examples of signatures.
const (
	exampleID     = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	exampleHost   = "examplebucket.s3.amazonaws.com"
)

var exampleTime = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)

func exampleSigner() *signer {
	return &signer{id: exampleID, secret: exampleSecret, region: "us-east-1"}
}

// TestSignPublished checks the examples that AWS publishes under "Signature Calculations
// for the Authorization Header: Transferring Payload in a Single Chunk".
func TestSignPublished(t *testing.T) {
	for _, c := range []struct {
		name, method, path, query, payload string
		headers                            []header
		want                               string
	}{
		{"get object", "GET", "/test.txt", "", emptyDigest, []header{{"range", "bytes=0-9"}},
			"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
		{"put object", "PUT", escape("/test$file.text", true), "", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
			[]header{{"date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
			"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
		{"list objects", "GET", "/", "max-keys=2&prefix=J", emptyDigest, nil,
			"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			headers := exampleSigner().sign(exampleTime, c.method, c.path, c.query, exampleHost, c.payload, c.headers)
			last := headers[len(headers)-1]
			if last.name != "authorization" || !strings.HasSuffix(last.value, ",Signature="+c.want) {
				t.Errorf("signed as %s: %s, want signature %s", last.name, last.value, c.want)
			}
		})
	}
}

type oneCredential struct{}

func (oneCredential) Credential(context.Context, string) (api.Credential, error) {
	return api.Credential{AccessKeyID: exampleID, Secret: exampleSecret, Principal: "root"}, nil
}

// TestSignIsVerified checks both modes of payload, and each kind of path and query that
// loads use, against the gateway's own verifier.
func TestSignIsVerified(t *testing.T) {
	verifier := sigv4.New(sigv4.Config{Credentials: oneCredential{}, Now: func() time.Time { return exampleTime }})
	c := newContent(1)
	p := place(3, 0, 4096)
	for _, r := range []request{
		{method: "PUT", path: "/bench/4KiB/000000003", body: c.bytes(p), payload: c.digest(p)},
		{method: "PUT", path: "/bench/4KiB/000000003", body: c.bytes(p), payload: unsigned},
		{method: "POST", path: "/bench/a", query: "uploads="},
		{method: "PUT", path: "/bench/a", query: "partNumber=1&uploadId=" + escape("a/b+c=", false), body: c.bytes(p), payload: unsigned},
		{method: "GET", path: "/bench", query: "list-type=2&max-keys=1000&prefix=4KiB%2F&start-after=4KiB%2F000000000"},
		{method: "GET", path: "/bench/a", headers: []header{{"range", "bytes=1-2"}}},
	} {
		out := &client{addr: "127.0.0.1:9000", sign: exampleSigner()}
		wire := &recorded{}
		out.conn = wire
		if err := out.send(exampleTime, &r); err != nil {
			t.Fatal(err)
		}
		got, err := http.ReadRequest(bufio.NewReader(&wire.b))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := verifier.Authenticate(t.Context(), got); err != nil {
			t.Errorf("%s %s?%s: %v", r.method, r.path, r.query, err)
		}
	}
}

// recorded is a connection that keeps what is written.
type recorded struct {
	net.Conn
	b bytes.Buffer
}

func (r *recorded) Write(p []byte) (int, error) { return r.b.Write(p) }
