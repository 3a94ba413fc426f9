package policy

import (
	"regexp"
	"strings"

	"shoal/acl"
)

// principals are those that a statement of a bucket policy names.
type principals struct {
	except    bool              // NotPrincipal
	everybody bool              // "*"
	accounts  map[string]bool   // by number
	users     map[userName]bool // IAM users
	canonical map[string]bool   // by canonical ID, or by the store's own ID
}

// userName is what tells one IAM user from others.
type userName struct{ account, name string }

// match says whether the statement speaks of who asks.
func (p *principals) match(r *acl.Request, effect acl.Effect) bool {
	return p.names(&r.Principal, effect) != p.except
}

// names says whether who asks is named. The account as a whole is everybody in it when something is denied; when
// something is allowed, or excepted from a denial, it is the account's root alone: what other identities may do stays
// with their own policies, and each that is excepted must be named (IAM User Guide, "AWS account principals" and
// "NotPrincipal").
func (p *principals) names(who *acl.Principal, effect acl.Effect) bool {
	if p.everybody {
		return true
	}
	if who.Kind == acl.Anonymous {
		return false
	}
	if p.isAccount(who) && (who.Kind == acl.Root || effect == acl.Deny && !p.except) {
		return true
	}
	if len(p.canonical) > 0 && (p.canonical[who.ID] || p.canonical[acl.CanonicalID(who.ID)]) {
		return true
	}
	return who.Kind == acl.User && p.users[userName{who.Account, who.Name}]
}

// isAccount says whether the account of who asks is named, by its number or by the canonical ID that its root has.
func (p *principals) isAccount(who *acl.Principal) bool {
	return p.accounts[who.Account] || len(p.canonical) > 0 && p.canonical[rootCanonicalID]
}

// rootCanonicalID is the canonical ID of the one account of a store.
var rootCanonicalID = acl.CanonicalID("root")

var (
	accountNumber = regexp.MustCompile(`^[0-9]{12}$`)
	principalARN  = regexp.MustCompile(`^arn:aws:iam::([0-9]{12}):(root|user/([A-Za-z0-9+=,.@_/-]{1,128}))$`)
)

func readPrincipals(t *tree, except bool) (*principals, error) {
	p := &principals{except: except, accounts: map[string]bool{}, users: map[userName]bool{}, canonical: map[string]bool{}}
	if t.kind == treeText && t.text == "*" {
		p.everybody = true
		return p, nil
	}
	if t.kind != treeObject || len(t.names) == 0 {
		return nil, refuse(`Principal must be "*" or an object such as {"AWS": "arn:aws:iam::123456789012:user/alice"}.`)
	}
	for i, kind := range t.names {
		names, err := t.items[i].texts("Principal")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if !p.add(kind, name) {
				return nil, refuse("Invalid principal in policy: %s %q.", kind, name)
			}
		}
	}
	return p, nil
}

func (p *principals) add(kind, name string) bool {
	switch kind {
	case "CanonicalUser":
		p.canonical[name] = true
		return name != "" && !strings.ContainsAny(name, "*?")
	case "AWS":
		return p.addAWS(name)
	}
	return false
}

func (p *principals) addAWS(name string) bool {
	if name == "*" {
		p.everybody = true
		return true
	}
	if accountNumber.MatchString(name) {
		p.accounts[name] = true
		return true
	}
	m := principalARN.FindStringSubmatch(name)
	if m == nil {
		return false
	}
	if m[2] == "root" {
		p.accounts[m[1]] = true
		return true
	}
	p.users[userName{m[1], m[3]}] = true
	return true
}
