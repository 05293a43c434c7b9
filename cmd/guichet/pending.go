package main

type demoCmd struct{}

func (demoCmd) Run() error { return nil }

type userCmd struct{}
