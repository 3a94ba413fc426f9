package s3op

import (
	"context"
	"net/http"
	"strings"

	"shoal/acl/grant"
	"shoal/gateway/s3err"
	"shoal/gateway/s3xml"
)

const grantHeaders = " x-amz-grant-full-control x-amz-grant-read x-amz-grant-read-acp x-amz-grant-write x-amz-grant-write-acp"

// grantPermissions are what headers grant, in the order in which their grants are listed.
var grantPermissions = [...]struct {
	header     string
	permission grant.Permission
}{
	{"X-Amz-Grant-Read", grant.Read},
	{"X-Amz-Grant-Write", grant.Write},
	{"X-Amz-Grant-Read-Acp", grant.ReadACP},
	{"X-Amz-Grant-Write-Acp", grant.WriteACP},
	{"X-Amz-Grant-Full-Control", grant.FullControl},
}

// grants says whether a request carries grants in headers.
func grants(h http.Header) bool {
	for _, g := range grantPermissions {
		if _, ok := h[g.header]; ok {
			return true
		}
	}
	return false
}

// checkCanned refuses a canned ACL that is none.
func (c *call) checkCanned(t grant.Target) error {
	name := c.HTTP.Header.Get("X-Amz-Acl")
	if name == "" {
		return nil
	}
	if _, ok := grant.Canned(name, t, owner); !ok {
		return errInvalidArgument("x-amz-acl", name, "Invalid canned ACL")
	}
	return nil
}

// headerACL gives the ACL that a request's headers ask for, canned or by grants; nil when they ask for none
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#setting-acls).
func (c *call) headerACL(ctx context.Context, t grant.Target) (grant.ACL, error) {
	if err := c.checkCanned(t); err != nil {
		return nil, err
	}
	h := c.HTTP.Header
	canned, explicit := h.Get("X-Amz-Acl"), grants(h)
	switch {
	case canned != "" && explicit:
		return nil, errInvalidRequest("Specifying both Canned ACLs and Header Grants is not allowed")
	case canned != "":
		a, _ := grant.Canned(canned, t, owner)
		return a, nil
	case !explicit:
		return nil, nil
	}
	var asked []s3xml.RequestedGrant
	for _, g := range grantPermissions {
		value := strings.Join(h[g.header], ",")
		if _, ok := h[g.header]; !ok {
			continue
		}
		who, ok := parseGrantees(value)
		if !ok {
			return nil, errInvalidArgument(strings.ToLower(g.header), value, "Argument format not recognized")
		}
		for _, w := range who {
			asked = append(asked, s3xml.RequestedGrant{Grantee: w, Permission: g.permission})
		}
	}
	return c.resolve(ctx, asked)
}

// parseGrantees reads the value of a header of grants: id="…", uri="…" and emailAddress="…", parted by commas. Quotes may
// be left out around a value without comma and quote. At most grant.Max+1 are read: more are too many however many.
func parseGrantees(value string) (out []s3xml.Grantee, ok bool) {
	for rest := value; ; {
		name, after, found := strings.Cut(rest, "=")
		if !found {
			return nil, false
		}
		var text string
		after = strings.TrimLeft(after, " \t")
		if quoted, isQuoted := strings.CutPrefix(after, `"`); isQuoted {
			if text, rest, found = strings.Cut(quoted, `"`); !found {
				return nil, false
			}
			rest = strings.TrimLeft(rest, " \t")
		} else {
			end := strings.IndexByte(after, ',')
			if end < 0 {
				end = len(after)
			}
			text, rest = strings.TrimRight(after[:end], " \t"), after[end:]
		}
		var g s3xml.Grantee
		switch strings.ToLower(strings.Trim(name, " \t")) {
		case "id":
			g.ID = text
		case "uri":
			g.URI = text
		case "emailaddress":
			g.Email = text
		default:
			return nil, false
		}
		if text == "" || strings.ContainsAny(text, `"`) {
			return nil, false
		}
		if out = append(out, g); rest == "" || len(out) > grant.Max {
			return out, true
		}
		if rest, found = strings.CutPrefix(rest, ","); !found {
			return nil, false
		}
	}
}

// resolve finds the grantees that a request names.
func (c *call) resolve(ctx context.Context, asked []s3xml.RequestedGrant) (grant.ACL, error) {
	if len(asked) > grant.Max {
		return nil, s3err.Newf(s3err.MalformedACLError, "An access control list can have at most %d grants.", grant.Max)
	}
	a := make(grant.ACL, 0, len(asked))
	known := make(map[string]bool)
	for _, r := range asked {
		g := grant.Grant{Permission: r.Permission}
		switch {
		case r.Email != "":
			return nil, s3err.New(s3err.UnresolvableGrantByEmailAddress).With("EmailAddress", r.Email)
		case r.URI != "":
			var ok bool
			if g.Group, ok = grant.ParseGroup(r.URI); !ok {
				return nil, errInvalidArgument("Group/URI", r.URI, "Invalid group uri")
			}
		case !known[r.ID]:
			ok := grant.ValidID(r.ID)
			if ok {
				var err error
				if ok, err = c.CanonicalUser(ctx, r.ID); err != nil {
					return nil, err
				}
			}
			if !ok {
				return nil, errInvalidArgument("CanonicalUser/ID", r.ID, "Invalid id")
			}
			known[r.ID] = true
		}
		g.ID = r.ID
		a = append(a, g)
	}
	return a, nil
}
