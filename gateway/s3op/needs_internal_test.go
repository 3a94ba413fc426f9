package s3op

import (
	"testing"

	"shoal/acl/policy"
)

// TestEveryOperationNeedsARight: an operation that does something takes a right, one that policies know and
// that can be given on what the operation acts on.
func TestEveryOperationNeedsARight(t *testing.T) {
	seen := make(map[string]bool)
	for op := range Operations {
		n, ok := needs[op.Name]
		seen[op.Name] = true
		if ok != op.Implemented() {
			t.Errorf("%s: implemented %v, has a right %v", op.Name, op.Implemented(), ok)
			continue
		}
		if op.free {
			t.Errorf("%s needs no right", op.Name)
		}
		for _, action := range []string{n.action, n.versioned, n.also, n.alsoVersioned} {
			target, known := policy.TargetOf(action)
			want := [...]policy.Target{ServiceScope: policy.OnService, BucketScope: policy.OnBucket, ObjectScope: policy.OnObject}[op.Scope]
			if op.Name == "DeleteObjects" || op.Name == "PostObject" {
				want = policy.OnObject
			}
			if action != "" && (!known || target != want) {
				t.Errorf("%s: the right %s is known %v, on %v", op.Name, action, known, target)
			}
		}
		if ok && n.action == "" {
			t.Errorf("%s: no right", op.Name)
		}
	}
	for name := range needs {
		if !seen[name] {
			t.Errorf("there is no operation %s", name)
		}
	}
}
