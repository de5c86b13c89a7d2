tidy: rooms ## check sizes, floors, doors and what each room links
	@tools/tidy --linked $(OUT)
