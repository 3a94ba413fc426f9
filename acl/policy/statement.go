package policy

import (
	"slices"
	"strconv"
	"strings"

	"shoal/acl"
)

// statement is one statement of a document.
type statement struct {
	sid        string // or its number, from 1
	effect     acl.Effect
	principals *principals // nil in identity policies
	actions    actionSet
	named      []string // actions as written
	resources  []*pattern
	paths      []string // resources as written
	except     bool     // NotResource
	conditions []condition
}

func (st *statement) matches(r *acl.Request, action int) bool {
	if !st.actions.has(action) || st.principals != nil && !st.principals.match(r, st.effect) {
		return false
	}
	if st.matchesResource(r) == st.except {
		return false
	}
	for i := range st.conditions {
		if !st.conditions[i].holds(r) {
			return false
		}
	}
	return true
}

func (st *statement) matchesResource(r *acl.Request) bool {
	for _, p := range st.resources {
		if p.match(r.Resource, r) {
			return true
		}
	}
	return false
}

const arnPrefix = "arn:aws:s3:::"

// buckets are the names of the buckets that the statement speaks of; ok is false when it may speak of others.
func (st *statement) buckets() (names []string, ok bool) {
	for _, p := range st.resources {
		literal, whole := p.literal()
		name, _, cut := strings.Cut(strings.TrimPrefix(literal, arnPrefix), "/")
		if st.except || !strings.HasPrefix(literal, arnPrefix) || !cut && !whole {
			return nil, false
		}
		names = append(names, name)
	}
	return names, true
}

// bucketOf is the name of the bucket in a resource of a request; "" when there is none.
func bucketOf(resource string) string {
	path, ok := strings.CutPrefix(resource, arnPrefix)
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(path, "/")
	return name
}

var statementElements = []string{"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}

// readStatement reads one statement. Resource policies must name principals, identity policies must not.
func readStatement(t *tree, number int, s syntax, resource bool) (*statement, error) {
	if t.kind != treeObject {
		return nil, refuse("A Statement must be an object.")
	}
	for _, name := range t.names {
		if !slices.Contains(statementElements, name) {
			return nil, refuse("A statement has no element %q.", name)
		}
	}
	st := &statement{sid: strconv.Itoa(number)}
	if err := st.readHead(t); err != nil {
		return nil, err
	}
	if err := st.readPrincipals(t, resource); err != nil {
		return nil, err
	}
	if err := st.readActions(t); err != nil {
		return nil, err
	}
	if err := st.readResources(t, s); err != nil {
		return nil, err
	}
	if c := t.member("Condition"); c != nil {
		var err error
		if st.conditions, err = readConditions(c, s); err != nil {
			return nil, err
		}
	}
	return st, nil
}

func (st *statement) readHead(t *tree) error {
	if sid := t.member("Sid"); sid != nil {
		if sid.kind != treeText {
			return refuse("Sid must be a string.")
		}
		if sid.text != "" {
			st.sid = sid.text
		}
	}
	effect := t.member("Effect")
	if effect == nil || effect.kind != treeText {
		return refuse("A statement needs an Effect: Allow or Deny.")
	}
	switch effect.text {
	case "Allow":
		st.effect = acl.Allow
	case "Deny":
		st.effect = acl.Deny
	default:
		return refuse("Effect must be Allow or Deny, not %q.", effect.text)
	}
	return nil
}

func (st *statement) readPrincipals(t *tree, resource bool) (err error) {
	yes, no, err := either(t, "Principal", "NotPrincipal")
	switch {
	case err != nil:
		return err
	case !resource && (yes != nil || no != nil):
		return refuse("A policy of an identity names no Principal: it speaks of the identity it is attached to.")
	case !resource:
		return nil
	case yes == nil && no == nil:
		return refuse("A statement of a bucket policy needs a Principal.")
	case no != nil && st.effect == acl.Allow:
		return refuse("NotPrincipal goes with Deny only.")
	}
	if no != nil {
		yes = no
	}
	st.principals, err = readPrincipals(yes, no != nil)
	return err
}

func (st *statement) readActions(t *tree) error {
	yes, no, err := either(t, "Action", "NotAction")
	if err != nil {
		return err
	}
	if yes == nil && no == nil {
		return refuse("A statement needs an Action.")
	}
	from := yes
	if no != nil {
		from = no
	}
	if st.named, err = from.texts("Action"); err != nil {
		return err
	}
	if st.actions, err = readActions(st.named); err != nil {
		return err
	}
	if no != nil {
		st.actions.invert()
	}
	return nil
}

func (st *statement) readResources(t *tree, s syntax) error {
	yes, no, err := either(t, "Resource", "NotResource")
	if err != nil {
		return err
	}
	if yes == nil && no == nil {
		return refuse("A statement needs a Resource.")
	}
	if st.except = no != nil; st.except {
		yes = no
	}
	if st.paths, err = yes.texts("Resource"); err != nil {
		return err
	}
	s.wildcards = true
	for _, path := range st.paths {
		if path != "*" && !strings.HasPrefix(path, arnPrefix) || path == arnPrefix {
			return refuse("%q is not a resource: write arn:aws:s3:::bucket, arn:aws:s3:::bucket/key or *.", path)
		}
		p, err := compile(path, s)
		if err != nil {
			return err
		}
		st.resources = append(st.resources, p)
	}
	return nil
}

// either gives the two elements of which a statement may have one.
func either(t *tree, yes, no string) (*tree, *tree, error) {
	a, b := t.member(yes), t.member(no)
	if a != nil && b != nil {
		return nil, nil, refuse("A statement cannot have both %s and %s.", yes, no)
	}
	return a, b, nil
}
