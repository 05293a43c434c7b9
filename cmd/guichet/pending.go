package main

type demoCmd struct{}

func (demoCmd) Run() error { return nil }

type simCmd struct{}

type userCmd struct{}
