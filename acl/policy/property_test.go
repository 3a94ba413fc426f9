package policy

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"shoal/acl"
)

// world is all policies that speak of a request.
type world struct {
	identity, sessions []statements
	bucket             statements // nil is none
	restrict           bool
	acl                grantAll
}

// grantAll is an ACL that allows everything, or nothing.
type grantAll bool

func (g grantAll) Evaluate(*acl.Request) acl.Verdict {
	if g {
		return acl.Verdict{Effect: acl.Allow}
	}
	return acl.Verdict{}
}

func (d draw) world() *world {
	w := &world{restrict: d.IntN(4) == 0, acl: d.IntN(4) == 0}
	for range d.IntN(3) {
		w.identity = append(w.identity, d.statements(false))
	}
	for range d.IntN(3) - 1 {
		w.sessions = append(w.sessions, d.statements(false))
	}
	if d.IntN(2) == 0 {
		w.bucket = d.statements(true)
	}
	return w
}

func (w *world) clone() *world {
	out := *w
	clone := func(all []statements) (out []statements) {
		for _, s := range all {
			out = append(out, slices.Clone(s))
		}
		return out
	}
	out.identity, out.sessions, out.bucket = clone(w.identity), clone(w.sessions), slices.Clone(w.bucket)
	return &out
}

// all are the documents, for changes in place.
func (w *world) all() []*statements {
	var out []*statements
	for i := range w.identity {
		out = append(out, &w.identity[i])
	}
	for i := range w.sessions {
		out = append(out, &w.sessions[i])
	}
	if w.bucket != nil {
		out = append(out, &w.bucket)
	}
	return out
}

func (w *world) decide(t *testing.T, r *acl.Request) acl.Decision {
	t.Helper()
	rules := acl.Rules{ACL: w.acl}
	for _, s := range w.identity {
		if r.Principal.Kind == acl.User {
			rules.Identity = append(rules.Identity, mustParse(t, s.text(t, version2012), false))
		}
	}
	for _, s := range w.sessions {
		rules.Sessions = append(rules.Sessions, mustParse(t, s.text(t, version2012), false))
	}
	if w.bucket != nil {
		p := mustParse(t, w.bucket.text(t, version2012), true)
		rules.Bucket, rules.RestrictPublic = p, w.restrict && p.Public()
	}
	return acl.Evaluate(r, &rules)
}

// refDecide decides by the pages "Policy evaluation logic" and "Blocking public access" alone.
func (w *world) refDecide(t *testing.T, r *acl.Request) (allowed, explicit bool) {
	t.Helper()
	root, mends := r.Principal.Kind == acl.Root, strings.HasSuffix(r.Action, "BucketPolicy")
	effect := func(s statements) acl.Effect { return reference(s.text(t, version2012), r) }
	var identity, bucket []acl.Effect
	if r.Principal.Kind == acl.User {
		for _, s := range w.identity {
			identity = append(identity, effect(s))
		}
	}
	public := false
	if w.bucket != nil {
		bucket = append(bucket, effect(w.bucket))
		public = mustParse(t, w.bucket.text(t, version2012), true).Public()
	}
	if slices.Contains(identity, acl.Deny) || slices.Contains(bucket, acl.Deny) && !(root && mends) {
		return false, true
	}
	silent := false
	for _, s := range w.sessions {
		switch effect(s) {
		case acl.Deny:
			return false, true
		case acl.None:
			silent = true
		}
	}
	blocked := w.restrict && public && r.Principal.Kind == acl.Anonymous
	may := root || slices.Contains(identity, acl.Allow) || slices.Contains(bucket, acl.Allow) && !blocked || bool(w.acl)
	return may && !silent, false
}

// denyAll denies everything to everybody.
func denyAll(bucket bool) object {
	st := object{"Effect": "Deny", "Action": "*", "Resource": "*"}
	if bucket {
		st["Principal"] = "*"
	}
	return st
}

// TestProperties holds decisions to what is true of all of them, on worlds and requests of a seed: they are those of the
// second evaluator, a deny never loses, what narrows never widens, and no order counts.
func TestProperties(t *testing.T) {
	d := newDraw(2)
	outcomes := make(map[string]int)
	for range 500 {
		w := d.world()
		for range 3 {
			r := d.request()
			before := w.decide(t, r)
			allowed, explicit := w.refDecide(t, r)
			if before.Allowed != allowed || before.Explicit != explicit {
				t.Fatalf("%+v\nasked %+v\n%s, the reference: allowed %v, explicit %v", w, r, &before, allowed, explicit)
			}
			outcomes[strings.Fields(before.String())[0]]++
			d.denyNeverLoses(t, w, r, before)
			d.narrowingNeverWidens(t, w, r, before)
			d.orderDoesNotCount(t, w, r, before)
		}
	}
	if outcomes["allowed"] < 150 || outcomes["denied"] < 150 || outcomes["explicitly"] < 150 {
		t.Errorf("outcomes %v", outcomes)
	}
}

func (d draw) denyNeverLoses(t *testing.T, w *world, r *acl.Request, before acl.Decision) {
	t.Helper()
	mends := r.Principal.Kind == acl.Root && strings.HasSuffix(r.Action, "BucketPolicy")
	for i, s := range w.all() {
		bucket := w.bucket != nil && i == len(w.all())-1
		of := r.Principal.Kind == acl.User || i >= len(w.identity) // identity policies are of users alone
		changed := w.clone()
		at := changed.all()[i]
		*at = slices.Insert(*at, d.IntN(len(*s)+1), denyAll(bucket))
		if after := changed.decide(t, r); of && !(bucket && mends) && (after.Allowed || !after.Explicit) {
			t.Fatalf("a deny was added to %+v\nasked %+v\n%s", w, r, &after)
		}
		if !before.Explicit {
			continue
		}
		changed = w.clone()
		at = changed.all()[i]
		*at = slices.Insert(*at, d.IntN(len(*s)+1), d.statement(bucket), d.statement(bucket))
		if after := changed.decide(t, r); !after.Explicit || after.Allowed {
			t.Fatalf("statements were added to %+v\nasked %+v\nwas %s, is %s", w, r, &before, &after)
		}
	}
}

func (d draw) narrowingNeverWidens(t *testing.T, w *world, r *acl.Request, before acl.Decision) {
	t.Helper()
	if before.Reason == acl.ByPublicBlock {
		return // a policy that is no longer public is no longer blocked
	}
	narrower := []*world{w.clone(), w.clone(), w.clone(), w.clone()}
	narrower[0].sessions = append(narrower[0].sessions, d.statements(false))
	narrower[1].restrict, narrower[2].acl = true, false
	for i := range w.all() {
		for j, st := range *w.all()[i] {
			if st["Effect"] != "Allow" {
				continue
			}
			// One that allows is taken away, but for a document's last, which must have one, or gets a condition more.
			taken, conditioned := w.clone(), w.clone()
			if s := taken.all()[i]; len(*s) > 1 {
				*s = slices.Delete(*s, j, j+1)
			}
			more, c := maps.Clone(st), object{"ForAllValues:StringEqualsIgnoreCase": object{"aws:PrincipalType": pick(d, "user", "account", "nobody")}}
			if has, ok := st["Condition"].(object); ok {
				maps.Copy(c, has)
			}
			more["Condition"] = c
			(*conditioned.all()[i])[j] = more
			narrower = append(narrower, taken, conditioned)
		}
	}
	for _, n := range narrower {
		if after := n.decide(t, r); after.Allowed && !before.Allowed {
			t.Fatalf("%+v\nnarrowed to %+v\nasked %+v\nwas %s, is %s", w, n, r, &before, &after)
		}
	}
}

func (d draw) orderDoesNotCount(t *testing.T, w *world, r *acl.Request, before acl.Decision) {
	t.Helper()
	shuffled := w.clone()
	for _, all := range [][]statements{shuffled.identity, shuffled.sessions} {
		d.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	}
	for _, s := range shuffled.all() {
		d.Shuffle(len(*s), func(i, j int) { (*s)[i], (*s)[j] = (*s)[j], (*s)[i] })
	}
	after := shuffled.decide(t, r)
	if after.Allowed != before.Allowed || after.Explicit != before.Explicit || after.Reason != before.Reason {
		t.Fatalf("%+v\nin another order %+v\nasked %+v\nwas %s, is %s", w, shuffled, r, &before, &after)
	}
}

// TestDuals: of a statement and the one with NotAction or NotResource in the place of Action or Resource, exactly one
// speaks of a request of which the rest of the statement speaks.
func TestDuals(t *testing.T) {
	d := newDraw(3)
	speaks := 0
	for range 4000 {
		st := object{"Effect": "Deny", "Action": d.some(drawnActions...), "Resource": d.some(drawnResources...)}
		if d.IntN(2) == 0 {
			st["Condition"] = d.conditions()
		}
		name := pick(d, "Action", "Resource")
		dual, rest := maps.Clone(st), maps.Clone(st)
		delete(dual, name)
		dual["Not"+name], rest[name] = st[name], "*"
		a, b, c := mustParse(t, statements{st}.text(t, version2012), false), mustParse(t, statements{dual}.text(t, version2012), false), mustParse(t, statements{rest}.text(t, version2012), false)
		r := d.request()
		one, other, either := a.Evaluate(r).Effect != acl.None, b.Evaluate(r).Effect != acl.None, c.Evaluate(r).Effect != acl.None
		if either && one == other || !either && (one || other) {
			t.Fatalf("%v\nasked %+v\nspeaks %v, its dual %v, the rest %v", st, r, one, other, either)
		}
		if one {
			speaks++
		}
	}
	if speaks < 300 {
		t.Errorf("%d of 4000 speak", speaks)
	}
}

// TestEncodedAgain: a document means the same however its JSON is written: names in another order, escapes, white space,
// a value alone in a list.
func TestEncodedAgain(t *testing.T) {
	d := newDraw(4)
	for range 1500 {
		bucket := d.IntN(2) == 0
		text := d.statements(bucket).text(t, version2012)
		var value any
		if err := json.Unmarshal(text, &value); err != nil {
			t.Fatal(err)
		}
		again, err := json.MarshalIndent(inLists(value), " ", "\t")
		if err != nil {
			t.Fatal(err)
		}
		again = []byte(strings.ReplaceAll(string(again), "s3:", `s\u0033:`))
		p, q := mustParse(t, text, bucket), mustParse(t, again, bucket)
		if p.Public() != q.Public() || p.NeedsTags() != q.NeedsTags() {
			t.Fatalf("%s\n%s\nis public %v and %v", text, again, p.Public(), q.Public())
		}
		for range 4 {
			r := d.request()
			if got, want := q.Evaluate(r), p.Evaluate(r); got != want {
				t.Fatalf("%s\n%s\nasked %+v\n%+v, was %+v", text, again, r, got, want)
			}
		}
	}
}

// inLists puts single values of statements, actions, resources and conditions into lists.
func inLists(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = inLists(v[i])
		}
	case object:
		for name, inner := range v {
			v[name] = inLists(inner)
			_, list := inner.([]any)
			_, nested := inner.(object)
			if single := !list && !nested; single && name != "Effect" && name != "Version" && name != "Sid" && inner != "*" {
				v[name] = []any{inner}
			}
		}
	}
	return v
}
