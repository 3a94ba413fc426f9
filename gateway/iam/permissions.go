package iam

import (
	"context"
	"maps"
	"slices"
	"strings"

	"shoal/acl"
	"shoal/acl/grant"
	"shoal/gateway/s3err"
	"shoal/node/api"
)

// Permissions is the ACL of a bucket in a form for people: what is granted, "read", "write", "read_acp", "write_acp" or
// "full_control", by whom it is granted to: "root", "user:NAME", or a group's name in S3, "AllUsers",
// "AuthenticatedUsers" or "LogDelivery". A user who is gone is "canonical:" and its canonical ID.
type Permissions map[string][]string

const goneGrantee = "canonical:"

// Permissions gives what a bucket's ACL grants, whether it counts or not. NoSuchBucket.
func (s *Store) Permissions(ctx context.Context, buckets *Buckets, bucket string) (Permissions, error) {
	conf, err := buckets.source.Configuration(ctx, bucket, 0)
	if err != nil {
		return nil, err
	}
	a, err := ReadACL(conf.Documents[api.ConfigACL], acl.CanonicalID(api.RootPrincipal))
	if err != nil {
		return nil, err
	}
	t, err := s.fresh(ctx)
	if err != nil {
		return nil, err
	}
	out := Permissions{}
	for _, g := range a {
		who, what := t.nameOf(g.Grantee), strings.ToLower(g.Permission.String())
		if !slices.Contains(out[who], what) {
			out[who] = append(out[who], what)
		}
	}
	return out, nil
}

func (t *tables) nameOf(g grant.Grantee) string {
	name, known := t.canonical[g.ID]
	switch {
	case g.Group != grant.NoGroup:
		return g.String()
	case g.ID == acl.CanonicalID(api.RootPrincipal):
		return api.RootPrincipal
	case known:
		return api.UserPrincipal + name
	}
	return goneGrantee + g.ID
}

// SetPermissions replaces a bucket's ACL; root keeps full control. InvalidArgument for what is no permission or nobody,
// AccessControlListNotSupported where ACLs are off, AccessDenied for a public ACL where those are blocked.
func (s *Store) SetPermissions(ctx context.Context, buckets *Buckets, bucket string, p Permissions) error {
	a, err := s.readPermissions(ctx, p)
	if err != nil {
		return err
	}
	return buckets.Change(ctx, bucket, api.ConfigACL, func(conf *api.Configuration) ([]byte, error) {
		if ReadOwnership(conf.Documents[api.ConfigOwnership]) == OwnershipEnforced {
			return nil, s3err.Newf(s3err.AccessControlListNotSupported,
				"The bucket does not allow ACLs: its object ownership is BucketOwnerEnforced. Set it to ObjectWriter or BucketOwnerPreferred first, by PutBucketOwnershipControls.")
		}
		return EncodeACL(a), BlockPublic(a, ReadPublicAccess(conf.Documents[api.ConfigPublicAccess]).BlockACLs)
	})
}

func (s *Store) readPermissions(ctx context.Context, p Permissions) (grant.ACL, error) {
	a := grant.Private(acl.CanonicalID(api.RootPrincipal))
	for _, who := range slices.Sorted(maps.Keys(p)) {
		g, err := s.granteeOf(ctx, who)
		if err != nil {
			return nil, err
		}
		for _, what := range p[who] {
			permission, ok := grant.ParsePermission(strings.ToUpper(what))
			if !ok || what != strings.ToLower(what) {
				return nil, api.Invalid("iam.SetPermissions", "A permission is read, write, read_acp, write_acp or full_control.")
			}
			if one := (grant.Grant{Grantee: g, Permission: permission}); !slices.Contains(a, one) {
				a = append(a, one)
			}
		}
	}
	if len(a) > grant.Max {
		return nil, api.Invalid("iam.SetPermissions", "A bucket can have at most 100 permissions, of which one is root's.")
	}
	return a, nil
}

func (s *Store) granteeOf(ctx context.Context, who string) (grant.Grantee, error) {
	for g := grant.AllUsers; g <= grant.LogDelivery; g++ {
		if found := (grant.Grantee{Group: g}); found.String() == who {
			return found, nil
		}
	}
	id := acl.CanonicalID(who)
	if _, user := cutUser(who); user || who == api.RootPrincipal {
		known, err := s.Knows(ctx, id)
		if err != nil || known {
			return grant.Grantee{ID: id}, err
		}
	}
	return grant.Grantee{}, api.Invalid("iam.SetPermissions", "There is no such user: permissions are given to user:NAME, AllUsers, AuthenticatedUsers or LogDelivery.")
}
