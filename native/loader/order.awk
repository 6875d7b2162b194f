# Of the sections of our objects (readelf -SW), the functions in the order in which loader.lds wants them: those
# that hot.txt does not name, and then those that it names, the first of them last, so that they
# end with the window.
#
#   readelf -SW OBJECT... | awk -f loader/order.awk loader/hot.txt -

FNR == NR {
	if (NF && !/^#/)
		rank[$1] = ++ranks
	next
}

/^File: / {
	file = $2
}

/\] \.text/ {
	sub(/^ *\[ *[0-9]+\] */, "")
	name = $1; size = $5; alignment = $NF
	if (size ~ /^0+$/)
		next
	# what compilers add to the name of a part or a copy comes behind another full stop
	split(name, words, ".")
	function_name = words[3]
	# assembly has no sections of its own, and each call passes through it
	if (function_name == "" || file ~ /trap\/return_/)
		place = 0
	else if (function_name in rank)
		place = rank[function_name]
	else {
		print "*(" name ")"
		next
	}
	at[place] = at[place] "*(" name ")\n"
	length_of_all = length_of_all " + ALIGN(0x" size ", 16)" (alignment > 16 ? " + " alignment : "")
}

END {
	print ". = LPMX_WINDOW_SIZE - (0" length_of_all ");"
	for (place = ranks; place >= 0; place--)
		printf "%s", at[place]
}
