package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkcreds "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"shoal/e2e/cluster"
	"shoal/node/api"
)

// TestRights runs two gateways: what one of them, or an operator, has given or taken decides on both.
func TestRights(t *testing.T) {
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
	r.admin("policy", "create", "docs", r.file(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::rights/docs/*"}}`))
	r.admin("user", "attach", "alice", "docs")
	var alice, narrow api.IssuedKey
	n.AdminJSON(&alice, "key", "create", "alice")
	n.AdminJSON(&narrow, "key", "create", "root", "--session-policy", r.file(`{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::rights/other"}}`))
	for _, p := range []*cluster.Process{n, g} {
		r.becomes(p, &alice, "docs/a", "")
		r.is(p, &alice, "other", "AccessDenied")
		r.is(p, &alice, "docs/none", "AccessDenied")
		r.is(p, &narrow, "other", "")
		r.is(p, &narrow, "docs/a", "AccessDenied")
		r.is(p, nil, "docs/a", "AccessDenied")
	}
	r.admin("policy", "create", "never", r.file(`{"Statement":{"Effect":"Deny","Action":"s3:*","Resource":"*"}}`))
	r.admin("user", "attach", "alice", "never")
	r.refusedSoon(g, &alice, "AccessDenied")
	r.admin("user", "detach", "alice", "never")
	r.becomes(g, &alice, "docs/a", "")
	r.admin("key", "revoke", alice.AccessKeyID, "--yes")
	r.refusedSoon(g, &alice, "InvalidAccessKeyId")
	r.strangers(n, g)
	r.secretsKept(&alice, &narrow)
}

// TestOperators: users run the store as far as their rights go, and no further.
func TestOperators(t *testing.T) {
	t.Parallel()
	n := cluster.Start(t, cluster.Options{})
	r := &rights{t: t, node: n}
	r.admin("policy", "create", "look", r.file(`{"Statement":{"Effect":"Allow","Action":["admin:List*","admin:Get*","admin:CreateOwnAccessKey"],"Resource":"*"}}`))
	files := make(map[string]string)
	for user, policy := range map[string]string{"looks": "look", "runs": "admin"} {
		r.admin("user", "create", user)
		r.admin("user", "attach", user, policy)
		var k api.IssuedKey
		n.AdminJSON(&k, "key", "create", user)
		files[user] = r.file("[default]\naws_access_key_id = " + k.AccessKeyID + "\naws_secret_access_key = " + k.Secret + "\n")
	}
	<-time.After(time.Second) // what is attached counts a second later at most
	for _, tt := range []struct {
		user, want string
		args       []string
	}{
		{"looks", "", []string{"members"}},
		{"looks", "", []string{"key"}},
		{"looks", "", []string{"key", "create", "looks"}},
		{"looks", "admin:CreateAccessKey", []string{"key", "create", "runs"}},
		{"looks", "AccessDenied", []string{"key", "create", "root"}},
		{"looks", "admin:CreateUser", []string{"user", "create", "eve"}},
		{"looks", "admin:AttachUserPolicy", []string{"user", "attach", "looks", "admin"}},
		{"runs", "", []string{"user", "create", "eve"}},
		{"runs", "", []string{"settings", "set", "voters", "3"}},
		{"runs", "AccessDenied", []string{"key", "create", "root"}},
	} {
		out, err := n.Admin(append([]string{"--credentials", files[tt.user]}, tt.args...)...)
		if (err == nil) != (tt.want == "") || !strings.Contains(out, tt.want) {
			t.Errorf("%s: %v: %v %s", tt.user, tt.args, err, out)
		}
	}
}

// rights is the store under test.
type rights struct {
	t    *testing.T
	node *cluster.Process
}

func (r *rights) prepare(key string) {
	r.t.Helper()
	c := sdkClient{r.node.S3()}
	if key == "docs/a" {
		must(r.t, c.mkBucket(r.t.Context(), "rights"))
	}
	must(r.t, c.put(r.t.Context(), "rights", key, pattern{seed: 1, size: 10}))
}

func (r *rights) admin(args ...string) {
	r.t.Helper()
	if out, err := r.node.Admin(args...); err != nil {
		r.t.Fatalf("%v: %v: %s", args, err, out)
	}
}

// file keeps a document in a file.
func (r *rights) file(text string) string {
	r.t.Helper()
	path := filepath.Join(r.t.TempDir(), "document")
	must(r.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// code reads a key of the bucket with an access key, nil for none, and gives the code of the error, "" when
// there is none.
func (r *rights) code(p *cluster.Process, k *api.IssuedKey, key string) string {
	r.t.Helper()
	c := p.S3(func(o *s3.Options) {
		o.Credentials = aws.AnonymousCredentials{}
		if k != nil {
			o.Credentials = sdkcreds.NewStaticCredentialsProvider(k.AccessKeyID, k.Secret, "")
		}
	})
	out, err := c.GetObject(r.t.Context(), &s3.GetObjectInput{Bucket: aws.String("rights"), Key: &key})
	if err == nil {
		must(r.t, out.Body.Close())
		return ""
	}
	var e smithy.APIError
	if !errors.As(err, &e) {
		r.t.Fatal(err)
	}
	return e.ErrorCode()
}

func (r *rights) is(p *cluster.Process, k *api.IssuedKey, key, want string) {
	r.t.Helper()
	if got := r.code(p, k, key); got != want {
		r.t.Errorf("%v reads %s: code %q, want %q", k, key, got, want)
	}
}

// becomes waits until a right that was given is known.
func (r *rights) becomes(p *cluster.Process, k *api.IssuedKey, key, want string) {
	r.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for r.code(p, k, key) != want {
		if time.Now().After(deadline) {
			r.t.Fatalf("%v reads %s: code %q, want %q", k, key, r.code(p, k, key), want)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// refusedSoon holds a process to its word: what begins a second after the acknowledgement is refused.
func (r *rights) refusedSoon(p *cluster.Process, k *api.IssuedKey, want string) {
	r.t.Helper()
	<-time.After(time.Second)
	r.is(p, k, "docs/a", want)
}

// strangers read what a bucket policy allows, unless the public access block is in the way.
func (r *rights) strangers(n, g *cluster.Process) {
	r.t.Helper()
	ctx, c := r.t.Context(), r.node.S3()
	doc := aws.String(`{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::rights/*"}}`)
	put := &s3.PutBucketPolicyInput{Bucket: aws.String("rights"), Policy: doc}
	if _, err := c.PutBucketPolicy(ctx, put); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		r.t.Errorf("a public policy in a new bucket: %v", err)
	}
	_, err := c.DeletePublicAccessBlock(ctx, &s3.DeletePublicAccessBlockInput{Bucket: put.Bucket})
	must(r.t, err)
	_, err = c.PutBucketPolicy(ctx, put)
	must(r.t, err)
	r.becomes(n, nil, "docs/a", "")
	r.becomes(g, nil, "docs/a", "")
	_, err = c.DeleteBucketPolicy(ctx, &s3.DeleteBucketPolicyInput{Bucket: put.Bucket})
	must(r.t, err)
	r.is(n, nil, "docs/a", "AccessDenied")
	r.refusedSoon(g, nil, "AccessDenied")
}

// secretsKept looks for secrets in what the node has written.
func (r *rights) secretsKept(keys ...*api.IssuedKey) {
	r.t.Helper()
	must(r.t, filepath.WalkDir(r.node.Dir(), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return ignoreGone(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return ignoreGone(err)
		}
		for _, k := range keys {
			if strings.Contains(string(text), k.Secret) {
				r.t.Errorf("%s holds the secret of %v", path, k)
			}
		}
		return nil
	}))
}

// ignoreGone forgives files that come and go while a node runs.
func ignoreGone(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
