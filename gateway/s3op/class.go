package s3op

import (
	"net/http"

	"shoal/gateway/s3err"
	"shoal/node/api"
)

// readClass reads the storage class that a write asks for; STANDARD when it asks for none
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/sc-howtoset.html).
func readClass(h http.Header) (api.StorageClass, error) {
	name := h.Get("X-Amz-Storage-Class")
	if name == "" {
		return api.StandardClass, nil
	}
	class, ok := api.ParseStorageClass(name)
	if !ok {
		return class, s3err.Newf(s3err.InvalidStorageClass, "The storage class you specified is not valid. Use STANDARD or REDUCED_REDUNDANCY.").
			With("StorageClassRequested", name)
	}
	return class, nil
}

// writeClass tells the storage class of a version. Of STANDARD S3 says nothing: "Amazon S3 returns this
// header for all objects except for S3 Standard storage class objects"
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html).
func writeClass(h http.Header, class api.StorageClass) {
	if class != api.StandardClass {
		h["X-Amz-Storage-Class"] = []string{class.String()}
	}
}
