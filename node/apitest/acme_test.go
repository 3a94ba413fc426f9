package apitest_test

import (
	"testing"

	"shoal/node/apitest"
)

func TestACMEItems(t *testing.T) { apitest.ACMESuite(t, new(apitest.ACMEItems)) }
