package policy

import (
	"fmt"
	"slices"

	"shoal/acl"
)

// Policy is a document that was read. It is never changed afterwards, and safe for use by many goroutines.
type Policy struct {
	name       string
	statements []*statement
	actions    actionSet // of which some statement speaks
	denies     actionSet // of which some statement that denies does
	tags       bool
	// byBucket are the numbers of the statements whose resources are all of certain buckets, by those; rest are all
	// others. Both are ascending.
	byBucket map[string][]int
	rest     []int
}

var _ acl.Policy = (*Policy)(nil)

// Versions of the language. Variables came with the second.
const (
	version2008 = "2008-10-17"
	version2012 = "2012-10-17"
)

// ParseIdentity reads the policy of a user, a group or a session. The name is what decisions call it.
// The error is an *Error for the policy's author.
func ParseIdentity(name string, text []byte) (*Policy, error) { return parse(name, text, false) }

// ParseBucket reads a bucket's policy. Beside what every policy must be, it must speak of this bucket
// only, and every action of a statement must go with one of its resources (S3 User Guide, "Bucket
// policies"). The error is an *Error for the policy's author.
func ParseBucket(bucket string, text []byte) (*Policy, error) {
	p, err := parse("of bucket "+bucket, text, true)
	if err != nil {
		return nil, err
	}
	for _, st := range p.statements {
		if err := st.checkBucket(bucket); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func parse(name string, text []byte, resource bool) (*Policy, error) {
	t, err := parseTree(text)
	if err != nil {
		return nil, err
	}
	if t.kind != treeObject {
		return nil, refuse("A policy must be a JSON object.")
	}
	for _, n := range t.names {
		if !slices.Contains([]string{"Version", "Id", "Statement"}, n) {
			return nil, refuse("A policy has no element %q.", n)
		}
	}
	var s syntax
	if v := t.member("Version"); v != nil {
		if v.kind != treeText || v.text != version2008 && v.text != version2012 {
			return nil, refuse("Version must be %q or %q.", version2012, version2008)
		}
		s.variables = v.text == version2012
	}
	if id := t.member("Id"); id != nil && id.kind != treeText {
		return nil, refuse("Id must be a string.")
	}
	return readStatements(name, t.member("Statement"), s, resource)
}

func readStatements(name string, t *tree, s syntax, resource bool) (*Policy, error) {
	if t == nil || len(t.list()) == 0 {
		return nil, refuse("A policy needs a Statement.")
	}
	p := &Policy{name: name}
	sids := make(map[string]bool)
	for i, item := range t.list() {
		st, err := readStatement(item, i+1, s, resource)
		if err != nil {
			return nil, err
		}
		if sid := item.member("Sid"); sid != nil && sid.text != "" {
			if sids[sid.text] {
				return nil, refuse("The Sid %q is there twice.", sid.text)
			}
			sids[sid.text] = true
		}
		p.add(st)
	}
	return p, nil
}

// add puts a statement behind the others.
func (p *Policy) add(st *statement) {
	number := len(p.statements)
	p.statements = append(p.statements, st)
	p.actions.join(&st.actions)
	if st.effect == acl.Deny {
		p.denies.join(&st.actions)
	}
	p.tags = p.tags || st.needsTags()
	buckets, ok := st.buckets()
	if !ok {
		p.rest = append(p.rest, number)
		return
	}
	if p.byBucket == nil {
		p.byBucket = make(map[string][]int)
	}
	for _, b := range buckets {
		if all := p.byBucket[b]; len(all) == 0 || all[len(all)-1] != number {
			p.byBucket[b] = append(all, number)
		}
	}
}

// Evaluate implements acl.Policy: the first statement that denies, else the first that allows.
func (p *Policy) Evaluate(r *acl.Request) acl.Verdict {
	none := acl.Verdict{Policy: p.name}
	action, ok := numbers[r.Action]
	if !ok || !p.actions.has(action) {
		return none
	}
	found := none
	rest, named := p.rest, p.byBucket[bucketOf(r.Resource)]
	for len(rest)+len(named) > 0 {
		var number int
		if len(named) == 0 || len(rest) > 0 && rest[0] < named[0] {
			number, rest = rest[0], rest[1:]
		} else {
			number, named = named[0], named[1:]
		}
		st := p.statements[number]
		if found.Effect != acl.None && st.effect == acl.Allow || !st.matches(r, action) {
			continue
		}
		found.Effect, found.Statement = st.effect, st.sid
		if st.effect == acl.Deny {
			break
		}
	}
	return found
}

// MayDeny says whether a statement that denies speaks of an action.
func (p *Policy) MayDeny(action string) bool {
	number, ok := numbers[action]
	return ok && p.denies.has(number)
}

// NeedsTags says that the policy looks at the tags of the object asked for, which a gateway must
// then read before it can ask.
func (p *Policy) NeedsTags() bool { return p.tags }

// String names the policy.
func (p *Policy) String() string {
	return fmt.Sprintf("policy %s (%d statements)", p.name, len(p.statements))
}
