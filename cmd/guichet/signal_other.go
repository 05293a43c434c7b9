//go:build !unix

package main

func bearFullFiles() {}
