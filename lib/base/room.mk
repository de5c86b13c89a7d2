libs :=
uses :=
