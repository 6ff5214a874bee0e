LOUD = {"yes": "YES!", "no": "NO!"}
