package s3op

import (
	"strings"
	"testing"
)

// noActs are operations that change nothing that anybody set: data, or nothing at all.
var noActs = stringSet("AbortMultipartUpload CompleteMultipartUpload CopyObject CreateMultipartUpload DeleteBucketReplication DeleteBucketWebsite " +
	"DeleteObjectTagging PostObject PutBucketRequestPayment PutObject PutObjectTagging RenameObject UploadPart UploadPartCopy")

// TestEveryActIsRecorded: an operation that changes what was set leaves a record of the act.
func TestEveryActIsRecorded(t *testing.T) {
	seen := make(map[string]bool)
	for op := range Operations {
		seen[op.Name] = true
		_, act := acts[op.Name]
		changes := op.Method != "GET" && op.Method != "HEAD" && op.Implemented() && !op.free
		switch {
		case act && (!changes || noActs[op.Name]):
			t.Errorf("%s is an act, and changes nothing", op.Name)
		case changes && !act && !noActs[op.Name] && !onlyTells(op.Name):
			t.Errorf("%s leaves no record of the act", op.Name)
		}
	}
	for name := range acts {
		if !seen[name] {
			t.Errorf("there is no operation %s", name)
		}
	}
}

// onlyTells says that an operation is about configurations that no bucket can have.
func onlyTells(name string) bool {
	for _, kind := range []string{"Analytics", "IntelligentTiering", "Inventory", "Metrics"} {
		if strings.HasPrefix(name, "DeleteBucket"+kind) {
			return true
		}
	}
	return false
}
