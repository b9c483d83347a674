package flat

// expanding lists the letters that become several in upper case (SpecialCasing.txt of Unicode 14), one a line, each
// followed by what it becomes.
const expanding = "" +
	"\nßSS\nŉʼN\nǰJ\u030c\nΐΙ\u0308\u0301\nΰΥ\u0308\u0301\nևԵՒ\nẖH\u0331\nẗT\u0308" +
	"\nẘW\u030a\nẙY\u030a\nẚAʾ\nὐΥ\u0313\nὒΥ\u0313\u0300\nὔΥ\u0313\u0301\nὖΥ\u0313\u0342\nᾀἈΙ" +
	"\nᾁἉΙ\nᾂἊΙ\nᾃἋΙ\nᾄἌΙ\nᾅἍΙ\nᾆἎΙ\nᾇἏΙ\nᾈἈΙ" +
	"\nᾉἉΙ\nᾊἊΙ\nᾋἋΙ\nᾌἌΙ\nᾍἍΙ\nᾎἎΙ\nᾏἏΙ\nᾐἨΙ" +
	"\nᾑἩΙ\nᾒἪΙ\nᾓἫΙ\nᾔἬΙ\nᾕἭΙ\nᾖἮΙ\nᾗἯΙ\nᾘἨΙ" +
	"\nᾙἩΙ\nᾚἪΙ\nᾛἫΙ\nᾜἬΙ\nᾝἭΙ\nᾞἮΙ\nᾟἯΙ\nᾠὨΙ" +
	"\nᾡὩΙ\nᾢὪΙ\nᾣὫΙ\nᾤὬΙ\nᾥὭΙ\nᾦὮΙ\nᾧὯΙ\nᾨὨΙ" +
	"\nᾩὩΙ\nᾪὪΙ\nᾫὫΙ\nᾬὬΙ\nᾭὭΙ\nᾮὮΙ\nᾯὯΙ\nᾲᾺΙ" +
	"\nᾳΑΙ\nᾴΆΙ\nᾶΑ\u0342\nᾷΑ\u0342Ι\nᾼΑΙ\nῂῊΙ\nῃΗΙ\nῄΉΙ" +
	"\nῆΗ\u0342\nῇΗ\u0342Ι\nῌΗΙ\nῒΙ\u0308\u0300\nΐΙ\u0308\u0301\nῖΙ\u0342\nῗΙ\u0308\u0342\nῢΥ\u0308\u0300" +
	"\nΰΥ\u0308\u0301\nῤΡ\u0313\nῦΥ\u0342\nῧΥ\u0308\u0342\nῲῺΙ\nῳΩΙ\nῴΏΙ\nῶΩ\u0342" +
	"\nῷΩ\u0342Ι\nῼΩΙ\nﬀFF\nﬁFI\nﬂFL\nﬃFFI\nﬄFFL\nﬅST" +
	"\nﬆST\nﬓՄՆ\nﬔՄԵ\nﬕՄԻ\nﬖՎՆ\nﬗՄԽ" +
	"\n"
