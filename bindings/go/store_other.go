//go:build !unix || aix || solaris

package svcauth

import (
	"errors"
	"os"
)

const storesAreSupported = false

func tryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }
