package e2e

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkcreds "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"shoal/e2e/cluster"
	"shoal/node/api"
)

// TestSessions takes a session from one gateway, as SDKs do, and uses it on both, until the access key that it was
// asked for with is revoked.
func TestSessions(t *testing.T) {
	t.Parallel()
	n := cluster.Start(t, cluster.Options{})
	g := newGateway(t, n, invite(t, n))
	g.Start()
	g.WaitReady()
	r := &rights{t: t, node: n}
	for _, key := range []string{"docs/a", "other"} {
		r.prepare(key)
	}
	r.admin("user", "create", "alice")
	r.admin("policy", "create", "works", r.file(`{"Statement":{"Effect":"Allow","Action":["s3:*","sts:AssumeRole"],"Resource":"*"}}`))
	r.admin("policy", "create", "docs", r.file(`{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::rights/docs/*"}}`))
	r.admin("user", "attach", "alice", "works")
	var alice api.IssuedKey
	n.AdminJSON(&alice, "key", "create", "alice")

	client := sts.New(sts.Options{Region: "us-east-1", BaseEndpoint: aws.String(n.Endpoint()), Credentials: sdkcreds.NewStaticCredentialsProvider(alice.AccessKeyID, alice.Secret, "")})
	provider := stscreds.NewAssumeRoleProvider(client, "arn:aws:iam::000000000000:role/docs", func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName, o.Duration = "test", 15*time.Minute
	})
	creds, err := provider.Retrieve(t.Context())
	for deadline := time.Now().Add(time.Minute); err != nil && time.Now().Before(deadline); creds, err = provider.Retrieve(t.Context()) {
		<-time.After(20 * time.Millisecond) // until the right that was given is known
	}
	must(t, err)
	get := func(p *cluster.Process, key string) string {
		t.Helper()
		c := p.S3(func(o *s3.Options) { o.Credentials = sdkcreds.StaticCredentialsProvider{Value: creds} })
		out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("rights"), Key: &key})
		if err == nil {
			must(t, out.Body.Close())
			return ""
		}
		var e smithy.APIError
		if !errors.As(err, &e) {
			t.Fatal(err)
		}
		return e.ErrorCode()
	}
	for _, p := range []*cluster.Process{n, g} {
		eventually(t, time.Minute, func() error { // what was given may be known to one before the other
			if code := get(p, "docs/a"); code != "" {
				return fmt.Errorf("a session reads what its role allows: %s", code)
			}
			return nil
		})
		if code := get(p, "other"); code != "AccessDenied" {
			t.Errorf("a session reads what its role does not allow: %q", code)
		}
	}
	tokensByCLI(t, n, &alice)
	r.admin("policy", "set", "docs", r.file(`{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::rights/other"}}`), "--yes")
	<-time.After(time.Second)
	if code := get(g, "docs/a"); code != "AccessDenied" {
		t.Errorf("a role was changed, and a session goes on: %q", code)
	}
	if code := get(g, "other"); code != "" {
		t.Errorf("a role was changed: %q", code)
	}
	r.admin("key", "revoke-all", "--yes")
	<-time.After(time.Second)
	for _, p := range []*cluster.Process{n, g} {
		if code := get(p, "other"); code != "InvalidToken" {
			t.Errorf("a session of a revoked key: %q", code)
		}
	}
	issued := api.IssuedKey{AccessKey: api.AccessKey{AccessKeyID: creds.AccessKeyID}, Secret: creds.SecretAccessKey}
	token := api.IssuedKey{Secret: creds.SessionToken}
	r.secretsKept(&alice, &issued, &token)
}

// tokensByCLI asks for a session, and who that is, by the AWS CLI, where it is installed.
func tokensByCLI(t *testing.T, p *cluster.Process, k *api.IssuedKey) {
	t.Helper()
	path, err := exec.LookPath("aws")
	if err != nil {
		t.Log("without the AWS CLI: ", err)
		return
	}
	for _, tt := range []struct{ args, want string }{
		{"get-caller-identity", "arn:aws:iam::000000000000:user/alice"},
		{"assume-role --role-arn arn:aws:iam::000000000000:role/docs --role-session-name cli --duration-seconds 900", "arn:aws:sts::000000000000:assumed-role/docs/cli"},
	} {
		cmd := exec.CommandContext(t.Context(), path, append([]string{"--endpoint-url", p.Endpoint(), "--region", "us-east-1", "sts"}, strings.Fields(tt.args)...)...)
		cmd.Env = append(cmd.Environ(), "AWS_ACCESS_KEY_ID="+k.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+k.Secret, "AWS_EC2_METADATA_DISABLED=true")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), tt.want) {
			t.Errorf("aws sts %s: %v %s", tt.args, err, out)
		}
	}
}
