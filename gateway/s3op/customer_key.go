package s3op

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/base64"
	"net/http"

	"shoal/gateway/edge"
	"shoal/gateway/s3err"
	"shoal/node/api"
)

const (
	customerPrefix       = "X-Amz-Server-Side-Encryption-Customer-"
	sourceCustomerPrefix = "X-Amz-Copy-Source-Server-Side-Encryption-Customer-"

	customerHeaders = " x-amz-server-side-encryption-customer-algorithm x-amz-server-side-encryption-customer-key " +
		"x-amz-server-side-encryption-customer-key-md5"
	sourceCustomerHeaders = " x-amz-copy-source-server-side-encryption-customer-algorithm x-amz-copy-source-server-side-encryption-customer-key " +
		"x-amz-copy-source-server-side-encryption-customer-key-md5"
)

// customerKey reads the key that a client brings for its object, nil for none
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html).
func (c *call) customerKey() (*api.CustomerKey, error) {
	return c.readCustomerKey(c.HTTP.Header, customerPrefix)
}

func (c *call) readCustomerKey(h http.Header, prefix string) (*api.CustomerKey, error) {
	algorithm, text, sum := h.Get(prefix+"Algorithm"), h.Get(prefix+"Key"), h.Get(prefix+"Key-Md5")
	if algorithm == "" && text == "" && sum == "" {
		return nil, nil
	}
	const needs = "Requests specifying Server Side Encryption with Customer provided keys must "
	refuse := func(message string) (*api.CustomerKey, error) {
		return nil, errInvalidArgument("x-amz-server-side-encryption", "null", message)
	}
	switch {
	case !edge.Secure(c.HTTP) && !c.PlainCustomerKeys:
		return nil, errInvalidRequest(needs + "be made over a secure connection.")
	case algorithm == "":
		return refuse(needs + "provide a valid encryption algorithm.")
	case algorithm != "AES256":
		return nil, s3err.Newf(s3err.InvalidEncryptionAlgorithmError, "The Encryption request you specified is not valid. Supported value: AES256.").
			With("ArgumentName", "x-amz-server-side-encryption-customer-algorithm").With("ArgumentValue", algorithm)
	case text == "":
		return refuse(needs + "provide an appropriate secret key.")
	case sum == "":
		return refuse(needs + "provide the client calculated MD5 of the secret key.")
	case h.Get("X-Amz-Server-Side-Encryption") != "" && prefix == customerPrefix:
		return refuse("Server Side Encryption with Customer provided key is incompatible with the encryption method specified")
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	k := new(api.CustomerKey)
	if err != nil || len(raw) != len(k.Key) {
		return refuse("The secret key was invalid for the specified algorithm.")
	}
	k.Key = [32]byte(raw)
	if subtle.ConstantTimeCompare([]byte(sum), []byte(keyMD5(k))) != 1 {
		return refuse("The calculated MD5 hash of the key did not match the hash that was provided.")
	}
	return k, nil
}

func keyMD5(k *api.CustomerKey) string {
	sum := md5.Sum(k.Key[:])
	return base64.StdEncoding.EncodeToString(sum[:])
}

var sealed = []string{"AES256"}

// writeSealed says how the object is encrypted at rest: every object is sealed with AES-256-GCM, whether the client
// asked or not, and under the client's key as well when it brings one.
func writeSealed(h http.Header, key *api.CustomerKey) {
	if key == nil {
		h["X-Amz-Server-Side-Encryption"] = sealed
		return
	}
	h[customerPrefix+"Algorithm"] = sealed
	h[customerPrefix+"Key-Md5"] = []string{keyMD5(key)}
}

// partKeyError tells that a part came without the key that its upload was begun with, with another, or
// with one that it was not.
func partKeyError(err error) error {
	switch api.KindOf(err) {
	case api.CustomerKeyMissing:
		return errInvalidRequest("The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters.")
	case api.CustomerKeyWrong:
		return errInvalidRequest("The provided encryption parameters did not match the ones used originally.")
	case api.CustomerKeyUnused:
		return errInvalidRequest("The multipart upload initiate did not request encryption. Please resend the request without sending encryption parameters.")
	}
	return err
}

// checkUploadKey holds a key that need not be sent against that of the upload.
func checkUploadKey(up *api.UploadInfo, key *api.CustomerKey) error {
	if key == nil {
		return nil
	}
	return partKeyError((&api.Metadata{KeyCheck: up.KeyCheck}).OpensWith("s3op.checkUploadKey", key))
}
