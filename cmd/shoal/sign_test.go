package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// TestSignMatchesSDK compares our signature with that of the AWS SDK.
func TestSignMatchesSDK(t *testing.T) {
	now := time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC)
	k := accessKey{id: "AKIDEXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
	for _, c := range []struct{ method, path, body string }{
		{http.MethodGet, "/admin/v1/space", ""},
		{http.MethodGet, "/admin/v1/gc/status?verify=b%2Fp%20q", ""},
		{http.MethodPost, "/admin/v1/invites", `{"role":"gateway"}`},
	} {
		ours, err := http.NewRequest(c.method, "http://127.0.0.1:9001"+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		theirs := ours.Clone(t.Context())
		sign(ours, []byte(c.body), k, "eu-central-1", now)
		payload := ours.Header.Get("X-Amz-Content-Sha256")
		theirs.Header.Set("X-Amz-Content-Sha256", payload)
		err = v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: k.id, SecretAccessKey: k.secret},
			theirs, payload, "s3", "eu-central-1", now)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := ours.Header.Get("Authorization"), theirs.Header.Get("Authorization"); got != want {
			t.Errorf("%s %s:\n got %s\nwant %s", c.method, c.path, got, want)
		}
	}
}

func TestReadCredentials(t *testing.T) {
	for _, c := range []struct {
		name, text string
		mode       os.FileMode
		want       accessKey
		says       string
	}{
		{"plain", "[default]\naws_access_key_id=A\naws_secret_access_key=S/+=\n", 0o600, accessKey{"A", "S/+="}, ""},
		{"spaces and other profiles", "[x]\naws_access_key_id = X\n[default]\r\n aws_access_key_id = A \r\naws_secret_access_key = S\n[y]\naws_secret_access_key=Y", 0o600, accessKey{"A", "S"}, ""},
		{"no secret", "[default]\naws_access_key_id=A\n", 0o600, accessKey{}, "no [default] profile"},
		{"only another profile", "[x]\naws_access_key_id=A\naws_secret_access_key=S\n", 0o600, accessKey{}, "no [default] profile"},
		{"readable by others", "[default]\naws_access_key_id=A\naws_secret_access_key=S\n", 0o644, accessKey{}, "chmod 600"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "credentials")
			if err := os.WriteFile(path, []byte(c.text), c.mode); err != nil {
				t.Fatal(err)
			}
			got, err := readCredentials(path)
			if c.says == "" && (err != nil || got != c.want) || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v %v, %v", got.id, got.secret == c.want.secret, err)
			}
		})
	}
}
