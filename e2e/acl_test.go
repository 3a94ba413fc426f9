package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"shoal/e2e/cluster"
	"shoal/node/api"
)

// TestACL runs two gateways. What an ACL gives strangers and users holds on both, and what it takes away too: of an
// object with the next request, of a bucket a second after that was acknowledged. A restart changes nothing.
func TestACL(t *testing.T) {
	t.Parallel()
	n := cluster.Start(t, cluster.Options{})
	g := newGateway(t, n, invite(t, n))
	g.Start()
	g.WaitReady()
	r := &rights{t: t, node: n}
	both := []*cluster.Process{n, g}
	r.prepare("docs/a")
	r.prepare("other")
	r.countACLs()
	r.admin("user", "create", "alice")
	var alice api.IssuedKey
	n.AdminJSON(&alice, "key", "create", "alice")
	var users []api.User
	n.AdminJSON(&users, "user")
	if len(users) != 1 || len(users[0].CanonicalID) != 64 {
		t.Fatalf("%+v", users)
	}

	r.setACL(n, &s3.PutObjectAclInput{Key: aws.String("docs/a"), ACL: types.ObjectCannedACLPublicRead})
	r.setACL(n, &s3.PutObjectAclInput{Key: aws.String("other"), GrantRead: aws.String("id=" + users[0].CanonicalID)})
	for _, p := range both {
		r.becomes(p, nil, "docs/a", "") // when it knows that ACLs count
		r.becomes(p, &alice, "docs/a", "")
		r.is(p, &alice, "other", "")
		r.is(p, nil, "other", "AccessDenied")
		r.is(p, nil, "none", "AccessDenied")
	}
	r.simulated("anonymous", "s3:GetObject", "rights/docs/a", "allowed by acl of the object, statement READ to AllUsers")
	r.simulated("alice", "s3:GetObject", "rights/other", "allowed by acl of the object, statement READ to canonical user "+users[0].CanonicalID)
	r.simulated("alice", "s3:DeleteObject", "rights/other", "denied by nothing_allows")

	r.setBucketACL(n, types.BucketCannedACLPublicRead)
	for _, p := range both {
		r.becomes(p, nil, "none", "NoSuchKey") // who may list is told
	}
	r.setBucketACL(g, types.BucketCannedACLPrivate)
	r.is(g, nil, "none", "AccessDenied")
	r.becomes(n, nil, "none", "AccessDenied")

	for _, set := range both {
		r.setACL(set, &s3.PutObjectAclInput{Key: aws.String("docs/a"), ACL: types.ObjectCannedACLPrivate})
		for _, p := range both {
			r.is(p, nil, "docs/a", "AccessDenied")
			r.is(p, &alice, "docs/a", "AccessDenied")
		}
		r.setACL(set, &s3.PutObjectAclInput{Key: aws.String("docs/a"), ACL: types.ObjectCannedACLPublicRead})
		for _, p := range both {
			r.is(p, nil, "docs/a", "")
		}
	}
	r.permissions(&alice)
	n.Stop()
	n.Start()
	n.WaitReady()
	r.becomes(n, nil, "docs/a", "")
	r.becomes(n, &alice, "other", "")
	r.is(n, nil, "other", "AccessDenied")
}

// permissions gives a user the bucket in the short form, and takes it again.
func (r *rights) permissions(alice *api.IssuedKey) {
	r.t.Helper()
	var have map[string][]string
	r.node.AdminJSON(&have, "bucket", "permissions", "rights", "--set", "alice=read,read_acp")
	if len(have) != 2 || !slices.Equal(have["user:alice"], []string{"read", "read_acp"}) || !slices.Equal(have["root"], []string{"full_control"}) {
		r.t.Errorf("%v", have)
	}
	r.is(r.node, alice, "none", "NoSuchKey") // who may list is told
	r.simulated("alice", "s3:PutObject", "rights/new", "denied by nothing_allows")
	r.admin("bucket", "permissions", "rights", "--none")
	r.is(r.node, alice, "none", "AccessDenied")
}

// countACLs turns ACLs on and the block of public ones off.
func (r *rights) countACLs() {
	r.t.Helper()
	ctx, c := r.t.Context(), r.node.S3()
	_, err := c.PutBucketOwnershipControls(ctx, &s3.PutBucketOwnershipControlsInput{Bucket: aws.String("rights"), OwnershipControls: &types.OwnershipControls{
		Rules: []types.OwnershipControlsRule{{ObjectOwnership: types.ObjectOwnershipBucketOwnerPreferred}},
	}})
	must(r.t, err)
	_, err = c.DeletePublicAccessBlock(ctx, &s3.DeletePublicAccessBlockInput{Bucket: aws.String("rights")})
	must(r.t, err)
}

func (r *rights) setACL(p *cluster.Process, in *s3.PutObjectAclInput) {
	r.t.Helper()
	in.Bucket = aws.String("rights")
	_, err := p.S3().PutObjectAcl(r.t.Context(), in)
	must(r.t, err)
}

func (r *rights) setBucketACL(p *cluster.Process, canned types.BucketCannedACL) {
	r.t.Helper()
	_, err := p.S3().PutBucketAcl(r.t.Context(), &s3.PutBucketAclInput{Bucket: aws.String("rights"), ACL: canned})
	must(r.t, err)
}

func (r *rights) simulated(who, action, resource, want string) {
	r.t.Helper()
	if out, err := r.node.Admin("policy", "simulate", who, action, resource); err != nil || strings.TrimSpace(string(out)) != want {
		r.t.Errorf("%s, %s on %s: %s, %v, want %q", who, action, resource, out, err, want)
	}
}
